"""One table of filters x engines: what a filter lets through is the same wherever the vectors lie."""

import pytest
from tried_engines import ENGINES

from penstock.testing.filter_table_contract import FilterTableContract

pytestmark = pytest.mark.timeout(180)  # whoever comes first starts the servers, on a busy machine too


@pytest.fixture(params=ENGINES)
async def index(request, tmp_path):
    async with ENGINES[request.param](request, tmp_path) as index:
        yield index


class TestFiltersByEngine(FilterTableContract):
    pass
