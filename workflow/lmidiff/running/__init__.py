"""What a job needs around its work: logs, progress, cards, resources."""
