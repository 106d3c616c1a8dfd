"""Benchmarks of penstock itself. One thread per process for numpy: threads of its own would fight over the cores."""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # read when numpy is imported, and so set before anything here can import it
