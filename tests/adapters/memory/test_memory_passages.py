import pytest

from penstock.adapters.memory.passages import MemoryPassages
from penstock.testing.documents_contract import DocumentIndexContract
from penstock.testing.vectors_contract import VectorIndexContract
from penstock.testing.words_contract import WordIndexContract


class TestMemoryVectors(VectorIndexContract):
    @pytest.fixture
    def index(self):
        return MemoryPassages()


class TestMemoryWords(WordIndexContract):
    @pytest.fixture
    def index(self):
        return MemoryPassages()


class TestMemoryDocuments(DocumentIndexContract):
    @pytest.fixture
    def index(self):
        return MemoryPassages()
