"""Code of tasks and jobs in processes of their own: the host's side, and the messages that both sides speak."""
