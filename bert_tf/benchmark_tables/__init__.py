"""`bert-tf benchmark`: a model and the sets of a benchmark in, the table of the papers out."""
