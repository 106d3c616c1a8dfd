from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]
