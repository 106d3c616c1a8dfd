"""What a segment becomes when it is sealed, and what is left of it then."""

import numpy as np

from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.rows import analysed
from penstock.core.knowledge.sealing import arrays_of
from penstock.core.knowledge.segment import Segment


def filled(**options):
    segment = Segment(**options)
    random = np.random.default_rng(4)
    for start in range(0, 60, 20):
        segment.put(
            [
                analysed(
                    Passage(f"p{number}", f"valve gate{number} {'surge ' * (number % 3)}", {"n": str(number)}),
                    random.standard_normal(100).astype("<f4").tobytes() if number % 7 else None,
                )
                for number in range(start, start + 20)
            ]
        )
        segment.drop([f"p{start + 3}", f"p{start + 8}"])
    segment.freeze()
    return segment


def test_codes_that_were_made_as_passages_came_are_those_that_are_made_when_they_are_sealed():
    coded = arrays_of(filled(coded_room=8, dims=100), lambda: None)
    plain = arrays_of(filled(dims=100), lambda: None)
    assert coded.keys() == plain.keys()
    assert "code_1" in coded
    for name, array in coded.items():
        assert array.tobytes() == plain[name].tobytes(), name


def test_a_segment_that_is_let_go_holds_nothing_and_was_given_up_in_pieces():
    segment, pauses = filled(), []
    segment.let_go(lambda: pauses.append(len(segment.postings.by_term())))
    assert segment.ids == []
    assert not segment.postings.by_term()
    assert len(pauses) > 2
