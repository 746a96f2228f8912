"""What a class association embedding shows of an image: walks to other classes, what the code's numbers do."""
