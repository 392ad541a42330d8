"""What a fleet keeps on its disk: removing, archiving, restoring."""

from __future__ import annotations

from collections.abc import Iterable

from fitfleet.client.disk import DiskUsage, disk_usage
from fitfleet.client.fleet_jobs import FleetJobs
from fitfleet.client.job import Job
from fitfleet.scheduler import archive as archiving
from fitfleet.scheduler import removal
from fitfleet.scheduler import restore as restoring
from fitfleet.scheduler.archive import Archive
from fitfleet.scheduler.removal import Removal
from fitfleet.scheduler.restore import Restored


class FleetDisk(FleetJobs):
    """Jobs, and what is kept of them."""

    def remove(
        self, jobs: Iterable[Job | int] = (), *, experiment: str | None = None, is_dry: bool = False
    ) -> Removal:
        """Remove ended jobs, or an experiment whose jobs have all ended, with all their files.

        What went, or with `is_dry` would go. StateError for a job that has not ended or that a
        sweep compares; NotFoundError. This cannot be undone.
        """
        if experiment is not None:
            return removal.remove_experiment(
                self.database, self.settings, experiment, is_dry=is_dry
            )
        numbers = [job.id if isinstance(job, Job) else job for job in jobs]
        return removal.remove_jobs(self.database, self.settings, numbers, is_dry=is_dry)

    def disk_usage(self) -> DiskUsage:
        """What the fleet uses of the disk, by experiment."""
        return disk_usage(self.database, self.settings)

    def archive(self, experiment: str) -> Archive:
        """Move an experiment whose jobs have all ended to Parquet files of the storage.

        `.folder` of what is returned is the one that `restore` takes. NotFoundError; StateError
        for a job that has not ended; MissingExtraError without the extra `parquet`.
        """
        return archiving.archive(self.database, self.settings, experiment)

    def restore(self, archive: str) -> Restored:
        """Put an archived experiment back: rows, metrics, scores, weights; the archive stays.

        `archive` is the name of a folder in `.archive` of the storage, another folder, or a URL.
        Numbers of jobs are those from before, or all `shift`ed if one of them is taken.
        NotFoundError; StateError if there is an experiment or sweep of its name; StorageError for
        a damaged file; MissingExtraError without the extra `parquet`.
        """
        return restoring.restore(self.database, self.settings, archive)
