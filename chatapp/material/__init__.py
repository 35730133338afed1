"""What is put before a model beside what one says: files that a message names."""
