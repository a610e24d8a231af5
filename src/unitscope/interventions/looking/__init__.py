"""A classifier under the microscope: which units fire in a picture, and what follows from switching them."""
