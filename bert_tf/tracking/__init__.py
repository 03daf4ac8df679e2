"""Where the numbers of a run go, MLflow and a journal beside it, and where its inputs came from."""
