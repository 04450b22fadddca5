"""What each image holds. A module has a recipe or a few that belong together."""
