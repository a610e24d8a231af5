"""Pascal VOC, Pascal-Context, Pascal-Part, and sets laid out like them."""
