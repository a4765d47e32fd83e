"""What a dataset is on disk: its record, its metadata, its files."""
