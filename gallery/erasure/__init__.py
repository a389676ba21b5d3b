"""What leaves galleries: changes that erase, what expires, and the records of it."""
