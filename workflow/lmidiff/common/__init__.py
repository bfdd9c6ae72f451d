"""What everything stands on: errors, files, seeds, settings, devices, locks, progress."""
