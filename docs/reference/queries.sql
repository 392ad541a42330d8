-- Ten questions to the views, in SQL that SQLite, PostgreSQL and DuckDB all understand.
-- The tests run them on all three and compare the answers. Replace 'net' by your experiment.

-- 1. What is there, and how does it stand?
SELECT experiment, status, COUNT(*) AS jobs, SUM(seconds) AS seconds
FROM runs GROUP BY experiment, status ORDER BY experiment, status;

-- 2. The ten best runs by the validation loss of their last epoch.
SELECT rank_low, job_id, params, seed, value FROM leaderboard
WHERE experiment = 'net' AND metric = 'loss' AND phase = 'val' AND rank_low <= 10
ORDER BY rank_low, job_id;

-- 3. Configurations over their repeats and folds: mean and 95 % interval, best first.
SELECT params, n, mean, low, high, minimum, maximum, seconds FROM groups
WHERE experiment = 'net' AND metric = 'loss' AND phase = 'val' ORDER BY mean;

-- 4. Which configurations have an interval that overlaps with the best one's?
SELECT params, mean, low, high FROM (
  SELECT params, mean, low, high, FIRST_VALUE(high) OVER (ORDER BY mean) AS best_high
  FROM groups WHERE experiment = 'net' AND metric = 'loss' AND phase = 'val') g
WHERE low <= best_high ORDER BY mean;

-- 5. The learning curve of the best configuration: mean and range over its runs.
SELECT c.epoch, c.phase, COUNT(*) AS n, AVG(c.value) AS mean, MIN(c.value) AS low,
  MAX(c.value) AS high
FROM curves c JOIN runs r ON r.job_id = c.job_id
WHERE c.metric = 'loss' AND r.group_hash = (
  SELECT group_hash FROM groups WHERE experiment = 'net' AND metric = 'loss' AND phase = 'val'
  ORDER BY mean LIMIT 1)
GROUP BY c.epoch, c.phase ORDER BY c.phase, c.epoch;

-- 6. How far does each run overfit? The gap between validation and training loss at its end.
SELECT job_id, params, loss, val_loss, val_loss - loss AS gap FROM runs
WHERE experiment = 'net' AND status = 'SUCCEEDED' ORDER BY gap DESC, job_id;

-- 7. Runs that would have been better stopped earlier, and at which epoch.
SELECT job_id, epoch AS best_epoch, epochs, value AS best_val_loss FROM (
  SELECT job_id, epoch, value, MAX(epoch) OVER (PARTITION BY job_id) AS epochs,
    ROW_NUMBER() OVER (PARTITION BY job_id ORDER BY value, epoch) AS place
  FROM curves
  WHERE experiment = 'net' AND metric = 'loss' AND phase = 'val' AND value IS NOT NULL) c
WHERE place = 1 AND epoch < epochs ORDER BY job_id;

-- 8. What was ended early, and what that has saved in epochs.
SELECT status, COUNT(*) AS jobs, SUM(epochs - epoch) AS epochs_saved FROM runs
WHERE experiment = 'net' AND status IN ('PRUNED', 'CANCELLED') GROUP BY status ORDER BY status;

-- 9. How busy did an experiment keep each worker slot?
SELECT w.worker, w.queue, w.device, COUNT(r.job_id) AS jobs, SUM(r.seconds) AS seconds
FROM workers w LEFT JOIN runs r ON r.worker = w.worker AND r.experiment = 'net'
GROUP BY w.worker, w.queue, w.device ORDER BY w.worker;

-- 10. What happened lately, and to which job?
SELECT v.event_id, v.kind, v.job_id, r.status, v.attempt, v.worker, v.detail
FROM events v LEFT JOIN runs r ON r.job_id = v.job_id ORDER BY v.event_id DESC LIMIT 20;
