"""Users of many kinds, and pages that watch who theirs is."""
