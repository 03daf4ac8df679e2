"""The package from Python, as `import bert_tf` has it: the stages, and models that are there."""
