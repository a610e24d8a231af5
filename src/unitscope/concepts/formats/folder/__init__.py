"""Folders of pictures, with masks or named by what they show."""
