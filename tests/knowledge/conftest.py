import multiprocessing

multiprocessing.get_context("forkserver").set_forkserver_preload(
    ["ingesting", "numpy", "penstock.adapters.sqlite.passages"]
)
