"""COCO's instances, LVIS, PACO and panoptic segments."""
