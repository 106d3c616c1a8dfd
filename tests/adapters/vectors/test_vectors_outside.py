"""The contracts of vectors and spaces on each store outside, and on the HNSW graph."""

import pytest
from tried_engines import ENGINES, OUTSIDE

from penstock.testing.spaces_contract import SpacesContract
from penstock.testing.vectors_contract import VectorIndexContract

pytestmark = pytest.mark.timeout(180)  # whoever comes first starts the servers, on a busy machine too


@pytest.fixture(params=OUTSIDE)
async def index(request, tmp_path):
    async with ENGINES[request.param](request, tmp_path) as index:
        yield index


class TestVectorsOutside(VectorIndexContract):
    pass


class TestSpacesOutside(SpacesContract):
    pass
