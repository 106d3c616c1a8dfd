"""A durable run that maps over the rows of a file, killed in the middle of it."""

import json
import subprocess
import sys
from pathlib import Path

ROWS = 10_000
LIFE = Path(__file__).parent / "lives" / "mapping.py"
MACHINE = {
    "StartAt": "Sum",
    "States": {
        "Sum": {
            "Type": "Map",
            "MaxConcurrency": 5,
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
                "Parameters": {"Bucket": "in", "Key.$": "$.key"},
            },
            "ItemBatcher": {"MaxItemsPerBatch": 250},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Batch",
                "States": {"Batch": {"Type": "Task", "Resource": "agent:adder", "End": True}},
            },
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": "out", "Prefix": "sums"},
                "WriterConfig": {"Transformation": "COMPACT"},
            },
            "End": True,
        }
    },
}


def lived(folder, batches_max):
    """Run a life of the app; one with a number of batches is killed after them."""
    command = [sys.executable, LIFE, folder, str(batches_max)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)


def test_a_map_over_ten_thousand_rows_goes_on_after_a_kill(tmp_path):
    (tmp_path / "buckets" / "in").mkdir(parents=True)
    text = "id,text\n" + "".join(f'{n},"row, {n}"\n' for n in range(ROWS))
    (tmp_path / "buckets" / "in" / "rows.csv").write_text(text, encoding="utf-8")
    (tmp_path / "machine.asl.json").write_text(json.dumps(MACHINE), encoding="utf-8")

    killed = lived(tmp_path, 20)
    assert (killed.returncode, killed.stdout) == (-9, ""), killed.stderr
    ended = lived(tmp_path, 0)
    assert ended.returncode == 0, ended.stderr
    details = json.loads(ended.stdout)["ResultWriterDetails"]
    folder = tmp_path / "buckets" / details["Bucket"]
    manifest = json.loads((folder / details["Key"]).read_bytes())
    (file,) = manifest["ResultFiles"]["SUCCEEDED"]
    results = json.loads((folder / file["Key"]).read_bytes())
    assert len(results) == ROWS // 250
    assert sum(each["sum"] for each in results) == sum(range(ROWS))
    calls = (tmp_path / "calls").read_text(encoding="utf-8").split()
    assert len(set(calls)) == 40
    assert len(calls) <= 40 + 5, "what was done before the kill is not done again, but for what was under way"
