"""A leaderboard as a folder of open files: written from stored runs, read again without a store."""
