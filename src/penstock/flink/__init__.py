"""An app's agents as a job on Apache Flink: what is Flink's own is in `job` and `function`, all else is plain Python."""
