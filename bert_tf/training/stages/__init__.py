"""What `bert-tf pretrain`, `finetune` and `evaluate` do."""
