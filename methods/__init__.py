"""The methods: one file each; a family shares a folder."""
