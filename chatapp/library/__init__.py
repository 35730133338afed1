"""Model files on this machine: finding them, naming them, reading what they say of themselves."""
