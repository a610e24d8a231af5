"""The paint page: a local server whose visitors draw concepts into a generator's pictures."""
