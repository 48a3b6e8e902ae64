"""The model that ships, and every scheme under every runtime."""
