"""Loss functions and the named training objectives of a recipe."""
