"""Several sources become one densely labelled set, as Broden was made."""
