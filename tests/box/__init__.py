"""What a GPU box, or an instance with Valkey, gets: built, installed and run."""
