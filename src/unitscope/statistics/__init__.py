"""One pass over the data: mergeable statistics of activations and labels."""
