"""What agents share: schedules, torch state and devices, episode statistics, replay."""
