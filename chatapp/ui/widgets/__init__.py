"""The pieces a chat screen is put together from."""
