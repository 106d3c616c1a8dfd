"""The bug bank: what went wrong in other engines, and which test of ours would notice it.

Every row of the bank that concerns the engine stands here once: with its tests, or among those that are still to come, with
the part that brings them. A row that got its tests moves from `TO_COME` to `HELD`.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROWS = {  # born from -> what must hold
    "langgraph #8039, crewAI #5802, stripe/ai #402": "a kill between effect, record and commit, at every write point: one effect, or as the policy says",
    "langgraph #8764": "an accepted request whose process dies before the first step is a run, and is resumed",
    "langgraph #8115": "branches that write results side by side lose none, in 1,000 interleavings",
    "langgraph-redis PR #79": "two workers with inputs for one key: strictly serial, no update lost",
    "dbos-py #453": "a node dies, and another one goes on within the bound, without a call of an administrator",
    "llama-agents-dbos": "a replica is taken away, and its runs move",
    "langgraph #4796, #4028, #2870": "several questions within a map are answered in any order, and none starts anew",
    "langgraph #5682": "a cancelled run ends the calls of its children to models",
    "kagent #2447": "a client who goes away changes nothing of what is stored",
    "agno #6849, agents-api #552": "a stream goes on by offset after a disconnect, without gap or repeat",
    "pydantic-ai #6092": "who follows a run gets every event, on every backend",
    "pydantic-ai #6620": "what is durable, called where it cannot be, is refused and not silent",
    "llama_index #20403": "the delay of a retry is honoured and its attempts are counted over restarts",
    "zammad-ai #310": "a poisonous message is tried a bounded number of times, then buried; other keys go on",
    "langgraph #8531, deer-flow #4148": "10,000 turns: storage grows linearly, and what is pruned can be resumed",
    "dapr #7321, Temporal limits": "a payload of 100 MB, and a fan-out of 5,000",
    "dbos-ts #1267": "those who wait do not poll",
    "dbos-ts #1302": "a busy queue does not starve the others",
    "PostHog #71077, unkey #4979": "runs under way when steps changed are refused with a list, or end on the old code",
    "restate #5196": "a suspended run goes on after its worker was lost, and its key is released",
    "CVE-2026-28277": "hostile bytes in the journal import and call nothing",
    "openai-agents #3353": "what counts attempts survives a crash and counts each once",
    "langgraph #8920": "a setting that is mistyped or misplaced is an error",
    "mem0 #3928, #6277": "delete(user=A) touches nothing of B, at the store level; metadata cannot change the tenant",
    "open-webui #28316, synaplan #959": "another embedder, of other dimensions: the old index serves until the change, which can be taken back, and no write is lost",
    "langgraph #4183": "the dev server knows after a restart what it knew before",
    "langgraph #6494, flink-agents #623": "without Docker and a network the quickstart passes (Windows: none here to try it on)",
}
ENGINE = "src/penstock/testing/engine_contract.py"  # inherited, and run on every store, like all contracts
STREAMS = "src/penstock/testing/engine_stream_contract.py"
WORKERS = "tests/runtime/test_several_workers.py"
VERSIONS = "tests/runtime/test_workflow_versions.py"
HELD = {
    "langgraph #8039, crewAI #5802, stripe/ai #402": [
        "tests/chaos/test_chaos.py: test_nothing_is_lost_or_done_twice_on_sqlite",
        "tests/chaos/test_chaos.py: test_nothing_is_lost_or_done_twice_on_postgres",
        "tests/runtime/test_tool_kills.py: test_c4_a_kill_at_each_write_point_leaves_one_effect_or_what_the_policy_says",
        "tests/simulation/test_every_write.py: test_a_death_at_any_time_at_any_point_loses_and_doubles_nothing",
    ],
    "langgraph #8764": [
        "tests/bugbank/test_accepted_requests.py: test_an_accepted_request_whose_process_dies_before_the_first_step_is_a_run_and_is_resumed",
        f"{ENGINE}: test_c6_an_accepted_event_is_a_run_from_that_instant",
    ],
    "langgraph #8115": ["tests/bugbank/test_branches.py: test_branches_that_write_results_side_by_side_lose_none"],
    "langgraph-redis PR #79": [
        "tests/bugbank/test_one_key.py: test_two_workers_with_inputs_for_one_key_lose_no_update"
    ],
    "langgraph #4796, #4028, #2870": [
        "src/penstock/testing/step_contract.py: test_c4_several_questions_are_answered_in_any_order_over_a_kill",
        "tests/runtime/test_workflow_approvals.py: test_langgraph_4796_approvals_in_subflows_of_a_map_are_answered_in_any_order_and_none_starts_anew",
    ],
    "langgraph #5682": [
        "tests/runtime/test_workflow_cancel.py: test_cancelling_reaches_a_model_call_and_no_further_call_is_made",
        "tests/gateway/test_following_streams.py: test_cancelling_a_run_in_the_middle_of_a_model_call_aborts_it_and_makes_no_other",
    ],
    "kagent #2447": [
        "tests/bugbank/test_accepted_requests.py: test_a_caller_who_goes_away_changes_nothing",
        "tests/gateway/test_real_streams.py: test_a_client_who_leaves_a_stream_does_not_touch_what_is_kept",
    ],
    "agno #6849, agents-api #552": [
        "tests/gateway/test_real_streams.py: test_reconnecting_by_offset_leaves_no_gap_and_no_duplicate",
        f"{STREAMS}: test_c1_a_stream_is_read_after_a_restart_from_any_offset",
        f"{STREAMS}: test_c1_what_was_shown_and_lost_is_taken_back_from_whoever_comes_back",
    ],
    "pydantic-ai #6092": [
        f"{STREAMS}: test_c7_every_follower_receives_every_piece",
        f"{STREAMS}: test_c7_a_piece_is_heard_before_anything_is_durable",
        f"{STREAMS}: test_c1_a_kill_in_the_middle_leaves_one_text",
        f"{STREAMS}: test_whoever_follows_is_told_when_the_engine_stops",
    ],
    "pydantic-ai #6620": [
        "tests/bugbank/test_wrong_places.py: test_a_step_after_its_handling_has_ended_is_refused",
        "tests/bugbank/test_wrong_places.py: test_the_context_of_another_run_is_refused",
        "tests/bugbank/test_wrong_places.py: test_a_step_of_a_batch_is_refused",
        "tests/bugbank/test_wrong_places.py: test_a_handler_called_as_a_function_has_no_step_that_would_not_be_recorded",
    ],
    "llama_index #20403": [
        "src/penstock/testing/step_contract.py: test_c4_attempts_of_a_step_are_counted_over_a_kill_and_their_delay_is_honoured",
        f"{ENGINE}: test_c6_attempts_are_counted_over_a_kill",
        "tests/testing/test_apps.py: test_retries_survive_a_crash_and_are_counted",
    ],
    "zammad-ai #310": [
        f"{ENGINE}: test_c6_a_poisonous_event_ends_in_the_dead_letters_and_its_key_goes_on",
        "tests/simulation/test_simulation.py: test_every_guarantee_holds",
    ],
    "dapr #7321, Temporal limits": [
        "tests/bugbank/test_branches.py: test_a_fan_out_of_five_thousand_comes_back_whole_over_a_kill",
        "tests/bugbank/test_branches.py: test_an_agent_that_emits_five_thousand_events_loses_none_and_keeps_their_order",
    ],
    "dbos-ts #1267": [
        "tests/bugbank/test_branches.py: test_those_who_wait_do_not_poll",
        "tests/runtime/test_flow.py: test_dbos_1267_a_wide_fan_out_waits_without_polling",
    ],
    "dbos-ts #1302": ["tests/runtime/test_flow.py: test_dbos_1302_a_busy_agent_does_not_starve_the_others"],
    "CVE-2026-28277": [
        "tests/bugbank/test_hostile_bytes.py: test_hostile_bytes_in_the_store_import_and_call_nothing",
        "tests/bugbank/test_hostile_bytes.py: test_the_spy_sees_what_a_pickle_does",
    ],
    "openai-agents #3353": [
        "tests/runtime/test_tool_calls.py: test_c6_a_step_that_used_up_its_attempts_is_not_tried_again_by_its_handler"
    ],
    "langgraph #8920": [
        "tests/bugbank/test_typos.py: test_a_setting_that_is_mistyped_in_the_file_is_an_error_with_all_of_them",
        "tests/bugbank/test_typos.py: test_a_variable_that_is_mistyped_is_an_error_and_those_of_others_are_not",
        "tests/bugbank/test_typos.py: test_an_option_of_an_agent_that_is_mistyped_or_misplaced_is_an_error_with_all_of_them",
    ],
    "dbos-py #453": [
        "tests/adapters/postgres/test_postgres_workers.py: test_a_killed_workers_keys_go_on_with_the_other_once_and_in_order",
        "tests/workers/test_working.py: test_workers_share_a_file_and_one_that_is_killed_is_replaced",
        f"{WORKERS}: test_a_killed_workers_partitions_are_taken_over_and_its_events_handled_once",
    ],
    "llama-agents-dbos": [
        f"{WORKERS}: test_partitions_are_shared_when_a_worker_joins_and_when_one_leaves",
        f"{WORKERS}: test_a_workflow_goes_on_with_another_worker",
    ],
    "restate #5196": [
        "tests/runtime/test_workflow_signals.py: test_a_suspended_run_with_a_step_under_way_goes_on_after_its_process_died",
        f"{WORKERS}: test_a_handling_that_outlives_the_handover_is_done_again_by_the_next_owner",
    ],
    "PostHog #71077, unkey #4979": [
        f"{VERSIONS}: test_a_run_whose_code_no_longer_fits_halts_and_goes_on_once_it_does",
        f"{VERSIONS}: test_a_run_keeps_the_version_that_it_began_with",
        f"{VERSIONS}: test_an_app_without_the_version_of_a_run_is_refused_with_a_list",
    ],
    "langgraph #8531, deer-flow #4148": [
        "tests/runtime/test_growth.py: test_a_long_session_takes_space_in_proportion_and_can_be_pruned_and_goes_on"
    ],
    "mem0 #3928, #6277": [
        "tests/bugbank/test_deleting.py: test_deleting_one_users_memory_touches_nothing_of_another",
        "tests/bugbank/test_deleting.py: test_metadata_cannot_change_the_tenant",
        "tests/runtime/test_deleting_within_bounds.py: test_a_delete_reaches_what_it_names_of_its_tenant_and_nothing_else",
    ],
    "open-webui #28316, synaplan #959": [
        "tests/bugbank/test_changing_embedders.py: test_the_old_one_serves_until_the_change_no_write_is_lost_and_it_can_be_taken_back",
        "tests/bugbank/test_changing_embedders.py: test_a_change_of_the_setting_alone_changes_nothing_unasked",
        "tests/runtime/test_switching_under_load.py: test_no_search_fails_and_none_is_stale",
        "tests/knowledge/test_switching_kills.py: test_a_switch_goes_on_whose_leader_is_killed_in_its_middle",
    ],
    "langgraph #4183": [
        "tests/bugbank/test_restarts.py: test_the_dev_server_knows_after_a_kill_what_it_knew_before",
        "tests/cli/test_serving.py: test_a_change_of_the_app_is_served_and_state_is_kept",
    ],
    "langgraph #6494, flink-agents #623": [
        "tests/bugbank/test_without_a_network.py: test_the_quickstart_answers_without_a_network"
    ],
}
TO_COME: dict[str, str] = {}


def test_every_row_has_its_tests_or_is_to_come_and_not_both():
    assert HELD.keys() | TO_COME.keys() == ROWS.keys()
    assert not HELD.keys() & TO_COME.keys()


@pytest.mark.parametrize("born_from", HELD)
def test_the_tests_of_a_row_are_there_and_say_where_they_come_from(born_from):
    assert HELD[born_from]
    docstrings = []
    for name in HELD[born_from]:
        path, _, test = name.partition(": ")
        module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = [each for each in ast.walk(module) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        found = [each for each in functions if each.name == test]
        assert found, f"{name} is gone"
        docstrings += [ast.get_docstring(module) or "", *(ast.get_docstring(each) or "" for each in found)]
    ours = [name for name in HELD[born_from] if name.startswith("tests/bugbank/")]
    first = born_from.split(",")[0]
    assert not ours or any(first in each for each in docstrings), f"no test of {born_from} says so"
