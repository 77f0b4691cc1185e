"""Results as one HTML page that needs nothing else: no network, no other file."""

from smile.report.experiment import experiment_report as experiment_report
from smile.report.leaderboard import leaderboard_page as leaderboard_page
from smile.report.run import run_report as run_report
