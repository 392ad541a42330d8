CREATE TABLE access_tokens (
	id VARCHAR(16) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	user_name VARCHAR(64) NOT NULL, 
	scope VARCHAR(8) NOT NULL, 
	created_at DOUBLE PRECISION NOT NULL, 
	expires_at DOUBLE PRECISION, 
	revoked_at DOUBLE PRECISION, 
	max_jobs INTEGER, 
	CONSTRAINT pk_access_tokens PRIMARY KEY (id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE audit_log (
	id BIGSERIAL NOT NULL, 
	at DOUBLE PRECISION NOT NULL, 
	user_name VARCHAR(64) NOT NULL, 
	token_id VARCHAR(16), 
	action VARCHAR(32) NOT NULL, 
	target VARCHAR(160) NOT NULL, 
	detail TEXT, 
	CONSTRAINT pk_audit_log PRIMARY KEY (id)
);
CREATE TABLE code_snapshots (
	sha256 VARCHAR(64) NOT NULL, 
	archive BYTEA NOT NULL, 
	signature VARCHAR(64), 
	created_at DOUBLE PRECISION NOT NULL, 
	CONSTRAINT pk_code_snapshots PRIMARY KEY (sha256)
);
CREATE TABLE ended_experiments (
	id BIGSERIAL NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	CONSTRAINT pk_ended_experiments PRIMARY KEY (id)
);
CREATE INDEX ix_ended_experiments_experiment_id ON ended_experiments (experiment_id);
CREATE TABLE experiments (
	id BIGSERIAL NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	created_at DOUBLE PRECISION NOT NULL, 
	is_paused BOOLEAN NOT NULL, 
	max_running INTEGER, 
	served_at DOUBLE PRECISION DEFAULT 0 NOT NULL, 
	user_name VARCHAR(64), 
	token_id VARCHAR(16), 
	removing VARCHAR(128), 
	CONSTRAINT pk_experiments PRIMARY KEY (id), 
	CONSTRAINT uq_experiments_name UNIQUE NULLS DISTINCT (name)
);
CREATE TABLE fleet_groups (
	name VARCHAR(64) NOT NULL, 
	shares DOUBLE PRECISION DEFAULT 1 NOT NULL, 
	max_running INTEGER, 
	gpu_hours DOUBLE PRECISION, 
	CONSTRAINT pk_fleet_groups PRIMARY KEY (name)
);
CREATE TABLE fleet_keys (
	name VARCHAR(32) NOT NULL, 
	value VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_fleet_keys PRIMARY KEY (name)
);
CREATE TABLE fleet_users (
	name VARCHAR(64) NOT NULL, 
	max_running INTEGER, 
	gpu_hours DOUBLE PRECISION, 
	gpu_seconds DOUBLE PRECISION DEFAULT 0 NOT NULL, 
	group_name VARCHAR(64), 
	shares DOUBLE PRECISION, 
	CONSTRAINT pk_fleet_users PRIMARY KEY (name)
);
CREATE TABLE memory_peaks (
	architecture VARCHAR(64) NOT NULL, 
	batch_size INTEGER NOT NULL, 
	dtype VARCHAR(64) NOT NULL, 
	optimizer VARCHAR(64) NOT NULL, 
	engine VARCHAR(16) NOT NULL, 
	cohort INTEGER NOT NULL, 
	device VARCHAR(128) NOT NULL, 
	peak_bytes BIGINT NOT NULL, 
	framework_bytes BIGINT, 
	driver_bytes BIGINT, 
	bound_bytes BIGINT DEFAULT 0 NOT NULL, 
	measured_at DOUBLE PRECISION NOT NULL, 
	CONSTRAINT pk_memory_peaks PRIMARY KEY (architecture, batch_size, dtype, optimizer, engine, cohort, device)
);
CREATE TABLE requirements (
	id BIGSERIAL NOT NULL, 
	document TEXT NOT NULL, 
	CONSTRAINT pk_requirements PRIMARY KEY (id), 
	CONSTRAINT uq_requirements_document UNIQUE NULLS DISTINCT (document)
);
CREATE TABLE served_shares (
	queue VARCHAR(64) NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	slots INTEGER NOT NULL, 
	served DOUBLE PRECISION NOT NULL, 
	at DOUBLE PRECISION NOT NULL, 
	CONSTRAINT pk_served_shares PRIMARY KEY (queue, kind, name)
);
CREATE TABLE shared_documents (
	id BIGSERIAL NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	document TEXT NOT NULL, 
	CONSTRAINT pk_shared_documents PRIMARY KEY (id), 
	CONSTRAINT uq_shared_documents_sha256 UNIQUE NULLS DISTINCT (sha256)
);
CREATE TABLE t_quantiles (
	df INTEGER NOT NULL, 
	t975 DOUBLE PRECISION NOT NULL, 
	CONSTRAINT pk_t_quantiles PRIMARY KEY (df)
);
CREATE TABLE trace_cursor (
	name VARCHAR(16) NOT NULL, 
	finished_at DOUBLE PRECISION NOT NULL, 
	job_id BIGINT NOT NULL, 
	held_until DOUBLE PRECISION NOT NULL, 
	failures INTEGER NOT NULL, 
	refused INTEGER DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_trace_cursor PRIMARY KEY (name)
);
CREATE TABLE upgrades (
	revision VARCHAR(32) NOT NULL, 
	fitfleet VARCHAR(64) NOT NULL, 
	upgraded_at DOUBLE PRECISION NOT NULL, 
	CONSTRAINT pk_upgrades PRIMARY KEY (revision)
);
CREATE TABLE webhooks (
	id SERIAL NOT NULL, 
	url TEXT NOT NULL, 
	secret VARCHAR(128) NOT NULL, 
	events TEXT NOT NULL, 
	created_at DOUBLE PRECISION NOT NULL, 
	CONSTRAINT pk_webhooks PRIMARY KEY (id)
);
CREATE TABLE worker_slots (
	id VARCHAR(128) NOT NULL, 
	service VARCHAR(128) NOT NULL, 
	host VARCHAR(128) NOT NULL, 
	pid INTEGER NOT NULL, 
	slot INTEGER NOT NULL, 
	queue VARCHAR(64) NOT NULL, 
	device VARCHAR(128) NOT NULL, 
	started_at DOUBLE PRECISION NOT NULL, 
	heartbeat_at DOUBLE PRECISION NOT NULL, 
	ended_at DOUBLE PRECISION, 
	is_draining BOOLEAN NOT NULL, 
	versions TEXT NOT NULL, 
	load TEXT, 
	name VARCHAR(128), 
	version INTEGER DEFAULT 1000 NOT NULL, 
	labels TEXT DEFAULT '{}'::text NOT NULL, 
	route VARCHAR(128) DEFAULT ''::character varying NOT NULL, 
	device_bytes BIGINT, 
	CONSTRAINT pk_worker_slots PRIMARY KEY (id)
);
CREATE INDEX ix_worker_slots_service ON worker_slots (service);
CREATE TABLE notifications (
	id BIGSERIAL NOT NULL, 
	webhook_id INTEGER NOT NULL, 
	event_id VARCHAR(32) NOT NULL, 
	event VARCHAR(32) NOT NULL, 
	payload TEXT NOT NULL, 
	created_at DOUBLE PRECISION NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_at DOUBLE PRECISION, 
	delivered_at DOUBLE PRECISION, 
	error TEXT, 
	CONSTRAINT pk_notifications PRIMARY KEY (id), 
	CONSTRAINT fk_notifications_webhook_id_webhooks FOREIGN KEY(webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE
);
CREATE INDEX ix_notifications_next_at ON notifications (next_at);
CREATE INDEX ix_notifications_webhook_id ON notifications (webhook_id);
CREATE TABLE sweeps (
	id BIGSERIAL NOT NULL, 
	experiment_id BIGINT NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	document TEXT NOT NULL, 
	created_at DOUBLE PRECISION NOT NULL, 
	ended_at DOUBLE PRECISION, 
	ends_at DOUBLE PRECISION, 
	CONSTRAINT pk_sweeps PRIMARY KEY (id), 
	CONSTRAINT fk_sweeps_experiment_id_experiments FOREIGN KEY(experiment_id) REFERENCES experiments (id), 
	CONSTRAINT uq_sweeps_name UNIQUE NULLS DISTINCT (name)
);
CREATE INDEX ix_sweeps_experiment_id ON sweeps (experiment_id);
CREATE TABLE imported_trials (
	sweep_id BIGINT NOT NULL, 
	number INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	trial TEXT NOT NULL, 
	point TEXT NOT NULL, 
	objectives TEXT NOT NULL, 
	left_out TEXT, 
	unused TEXT, 
	CONSTRAINT pk_imported_trials PRIMARY KEY (sweep_id, number), 
	CONSTRAINT fk_imported_trials_sweep_id_sweeps FOREIGN KEY(sweep_id) REFERENCES sweeps (id) ON DELETE CASCADE
);
CREATE TABLE jobs (
	id BIGSERIAL NOT NULL, 
	experiment_id BIGINT NOT NULL, 
	sweep_id BIGINT, 
	content_hash VARCHAR(64) NOT NULL, 
	group_hash VARCHAR(64) NOT NULL, 
	fuse_key VARCHAR(64), 
	rerun INTEGER NOT NULL, 
	adopted_from BIGINT, 
	fingerprint VARCHAR(64), 
	params TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	fold INTEGER, 
	queue VARCHAR(64) NOT NULL, 
	priority INTEGER NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	dispatch_seq INTEGER NOT NULL, 
	dispatched_at DOUBLE PRECISION, 
	not_before DOUBLE PRECISION NOT NULL, 
	submitted_at DOUBLE PRECISION NOT NULL, 
	attempt INTEGER NOT NULL, 
	owner VARCHAR(128), 
	lease_until DOUBLE PRECISION, 
	progress_at DOUBLE PRECISION, 
	request VARCHAR(16), 
	started_at DOUBLE PRECISION, 
	finished_at DOUBLE PRECISION, 
	seconds DOUBLE PRECISION NOT NULL, 
	epochs INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	max_failures INTEGER NOT NULL, 
	timeout_s DOUBLE PRECISION, 
	stall_timeout_s DOUBLE PRECISION, 
	memory_step INTEGER NOT NULL, 
	failure_class VARCHAR(16), 
	failure_message TEXT, 
	failure_traceback TEXT, 
	checkpoint_path TEXT, 
	checkpoint_epoch INTEGER, 
	artifact_path TEXT, 
	artifact_sha256 VARCHAR(64), 
	artifact_bytes BIGINT, 
	parameters BIGINT, 
	engine VARCHAR(16), 
	engine_reason TEXT, 
	refused_since DOUBLE PRECISION, 
	kept_epoch INTEGER, 
	nan_epoch INTEGER, 
	checkpoint_sha256 VARCHAR(64), 
	train_seconds DOUBLE PRECISION, 
	min_version INTEGER DEFAULT 0 NOT NULL, 
	starts_from BIGINT, 
	requirement_id BIGINT DEFAULT 0 NOT NULL, 
	sent_to VARCHAR(128), 
	stopped_by VARCHAR(16), 
	needs_bytes BIGINT, 
	CONSTRAINT pk_jobs PRIMARY KEY (id), 
	CONSTRAINT fk_jobs_adopted_from_jobs FOREIGN KEY(adopted_from) REFERENCES jobs (id), 
	CONSTRAINT fk_jobs_experiment_id_experiments FOREIGN KEY(experiment_id) REFERENCES experiments (id), 
	CONSTRAINT fk_jobs_sweep_id_sweeps FOREIGN KEY(sweep_id) REFERENCES sweeps (id), 
	CONSTRAINT uq_jobs_experiment_id_content_hash_rerun UNIQUE NULLS DISTINCT (experiment_id, content_hash, rerun)
);
CREATE INDEX ix_jobs_adopted_from ON jobs (adopted_from) WHERE (adopted_from IS NOT NULL);
CREATE INDEX ix_jobs_content ON jobs (content_hash);
CREATE INDEX ix_jobs_finished ON jobs (finished_at);
CREATE INDEX ix_jobs_fuse ON jobs (fuse_key, status, experiment_id, priority DESC, id);
CREATE INDEX ix_jobs_group ON jobs (experiment_id, group_hash);
CREATE INDEX ix_jobs_lease ON jobs (status, lease_until);
CREATE INDEX ix_jobs_requirement_id ON jobs (requirement_id, status, queue) WHERE (requirement_id <> 0);
CREATE INDEX ix_jobs_starts_from ON jobs (starts_from) WHERE (starts_from IS NOT NULL);
CREATE INDEX ix_jobs_sweep_id ON jobs (sweep_id);
CREATE INDEX ix_jobs_waiting ON jobs (status, queue, experiment_id, requirement_id, priority DESC, id);
CREATE TABLE trials (
	sweep_id BIGINT NOT NULL, 
	number INTEGER NOT NULL, 
	point_hash VARCHAR(64) NOT NULL, 
	point TEXT NOT NULL, 
	pending TEXT NOT NULL, 
	refused TEXT, 
	pruned TEXT, 
	suggested_at DOUBLE PRECISION NOT NULL, 
	generation INTEGER, 
	member INTEGER, 
	parent INTEGER, 
	changes TEXT, 
	CONSTRAINT pk_trials PRIMARY KEY (sweep_id, number), 
	CONSTRAINT fk_trials_sweep_id_sweeps FOREIGN KEY(sweep_id) REFERENCES sweeps (id) ON DELETE CASCADE, 
	CONSTRAINT uq_trials_sweep_id_point_hash UNIQUE NULLS DISTINCT (sweep_id, point_hash)
);
CREATE TABLE attempts (
	job_id BIGINT NOT NULL, 
	attempt INTEGER NOT NULL, 
	worker VARCHAR(128) NOT NULL, 
	started_at DOUBLE PRECISION NOT NULL, 
	ended_at DOUBLE PRECISION, 
	first_epoch INTEGER, 
	outcome VARCHAR(16), 
	message TEXT, 
	traceback TEXT, 
	log_tail TEXT, 
	environment TEXT, 
	engine VARCHAR(16), 
	engine_reason TEXT, 
	seconds DOUBLE PRECISION, 
	memory_peak_bytes BIGINT, 
	gpus INTEGER, 
	phases TEXT, 
	CONSTRAINT pk_attempts PRIMARY KEY (job_id, attempt), 
	CONSTRAINT fk_attempts_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE gang_slots (
	job_id BIGINT NOT NULL, 
	slot VARCHAR(128) NOT NULL, 
	dispatch_seq INTEGER NOT NULL, 
	device VARCHAR(128) NOT NULL, 
	is_ready BOOLEAN NOT NULL, 
	CONSTRAINT pk_gang_slots PRIMARY KEY (job_id, slot), 
	CONSTRAINT fk_gang_slots_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX ix_gang_slots_slot ON gang_slots (slot);
CREATE TABLE job_events (
	id BIGSERIAL NOT NULL, 
	at DOUBLE PRECISION NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	job_id BIGINT, 
	attempt INTEGER, 
	worker VARCHAR(128), 
	detail TEXT, 
	CONSTRAINT pk_job_events PRIMARY KEY (id), 
	CONSTRAINT fk_job_events_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX ix_job_events_job_id ON job_events (job_id);
CREATE TABLE job_labels (
	job_id BIGINT NOT NULL, 
	tags TEXT NOT NULL, 
	note TEXT NOT NULL, 
	CONSTRAINT pk_job_labels PRIMARY KEY (job_id), 
	CONSTRAINT fk_job_labels_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE job_specs (
	job_id BIGINT NOT NULL, 
	spec TEXT NOT NULL, 
	options TEXT NOT NULL, 
	spec_id BIGINT, 
	options_id BIGINT, 
	CONSTRAINT pk_job_specs PRIMARY KEY (job_id), 
	CONSTRAINT fk_job_specs_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE memory_waits (
	job_id BIGINT NOT NULL, 
	host VARCHAR(128) NOT NULL, 
	device VARCHAR(128) NOT NULL, 
	since DOUBLE PRECISION NOT NULL, 
	CONSTRAINT pk_memory_waits PRIMARY KEY (job_id), 
	CONSTRAINT fk_memory_waits_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX ix_memory_waits_device ON memory_waits (host, device);
CREATE TABLE metrics (
	job_id BIGINT NOT NULL, 
	epoch INTEGER NOT NULL, 
	metric VARCHAR(128) NOT NULL, 
	phase VARCHAR(5) NOT NULL, 
	value DOUBLE PRECISION, 
	CONSTRAINT pk_metrics PRIMARY KEY (job_id, epoch, metric, phase), 
	CONSTRAINT fk_metrics_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE scores (
	job_id BIGINT NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	value DOUBLE PRECISION, 
	source VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_scores PRIMARY KEY (job_id, name), 
	CONSTRAINT fk_scores_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE trial_jobs (
	sweep_id BIGINT NOT NULL, 
	number INTEGER NOT NULL, 
	replicate INTEGER NOT NULL, 
	job_id BIGINT NOT NULL, 
	is_reused BOOLEAN NOT NULL, 
	CONSTRAINT pk_trial_jobs PRIMARY KEY (sweep_id, number, replicate), 
	CONSTRAINT fk_trial_jobs_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE, 
	CONSTRAINT fk_trial_jobs_sweep_id_sweeps FOREIGN KEY(sweep_id) REFERENCES sweeps (id) ON DELETE CASCADE
);
CREATE INDEX ix_trial_jobs_job_id ON trial_jobs (job_id);
INSERT INTO alembic_version (version_num) VALUES ('0033');
INSERT INTO audit_log (id, at, user_name, action, target, detail) VALUES (1, 1795847449.59463, 'root', 'submit', 'digits', '2 jobs');
INSERT INTO experiments (id, name, created_at, is_paused, served_at, user_name) VALUES (1, 'digits', 1795847449.538907, false, 1795847449.848969, 'root');
INSERT INTO fleet_keys (name, value) VALUES ('messages', '669debb69d5bef5a49c16ab6041f74076afae9a6be1bd3db690a8c674990e02f');
INSERT INTO shared_documents (id, sha256, document) VALUES (1, 'b472bce82e0c8aa1aa74626e9cf2743b526508e43c0644313a7ea764c1590180', '{"adapt":[],"batch_size":32,"callbacks":[],"class_weight":null,"code":null,"dataset":{"categories":{},"decimal":".","delimiter":null,"files":{},"fold":null,"function":null,"groups":null,"missing":[],"nan":"warn","path":"digits.h5","sample_weight":null,"sample_weight_val":null,"texts":[],"windows":null,"x":"x_train","x_test":null,"x_val":null,"y":"y_train","y_test":null,"y_val":null},"dtype_policy":null,"epochs":5,"evaluators":[],"freeze":[],"gradient_accumulation_steps":null,"initial_weights":null,"jit_compile":false,"loss":"mse","loss_weights":null,"metrics":null,"model":{"builder":null,"config":{"class_name":"Sequential","name":"a"}},"optimizer":{"class_name":"SGD","config":{}},"reset_states":"epoch","shuffle":true,"steps_per_epoch":null,"steps_per_execution":1,"stop_after":null,"task":null,"validation_batch_size":null,"validation_freq":1,"validation_split":0.0,"validation_steps":null,"weighted_metrics":null}');
INSERT INTO shared_documents (id, sha256, document) VALUES (2, 'c2ce0e8aa56b25bd07656464b86ba9ed3469f313c43205b7547e478d8c01fc74', '{"adapt":[],"batch_size":32,"callbacks":[],"class_weight":null,"code":null,"dataset":{"categories":{},"decimal":".","delimiter":null,"files":{},"fold":null,"function":null,"groups":null,"missing":[],"nan":"warn","path":"digits.h5","sample_weight":null,"sample_weight_val":null,"texts":[],"windows":null,"x":"x_train","x_test":null,"x_val":null,"y":"y_train","y_test":null,"y_val":null},"dtype_policy":null,"epochs":5,"evaluators":[],"freeze":[],"gradient_accumulation_steps":null,"initial_weights":null,"jit_compile":false,"loss":"mse","loss_weights":null,"metrics":null,"model":{"builder":null,"config":{"class_name":"Sequential","name":"b"}},"optimizer":{"class_name":"SGD","config":{}},"reset_states":"epoch","shuffle":true,"steps_per_epoch":null,"steps_per_execution":1,"stop_after":null,"task":null,"validation_batch_size":null,"validation_freq":1,"validation_split":0.0,"validation_steps":null,"weighted_metrics":null}');
INSERT INTO shared_documents (id, sha256, document) VALUES (3, 'fe122fd6843f40adf9ce64266f374a3c3ef8c3a0e95afe0519c5e90d308722d3', '{"checkpoint_epochs":null,"checkpoint_s":null,"experiment":"digits","fuse":"auto","gpu_memory":null,"gpus":null,"max_failures":null,"memory":null,"priority":0,"queue":null,"requires":{},"shrink_on_oom":false,"stall_timeout_s":null,"timeout_s":null}');
INSERT INTO t_quantiles (df, t975) VALUES (1, 12.706204736174694);
INSERT INTO t_quantiles (df, t975) VALUES (2, 4.302652729749462);
INSERT INTO t_quantiles (df, t975) VALUES (3, 3.1824463052837078);
INSERT INTO t_quantiles (df, t975) VALUES (4, 2.7764451051977934);
INSERT INTO t_quantiles (df, t975) VALUES (5, 2.5705818356363146);
INSERT INTO t_quantiles (df, t975) VALUES (6, 2.4469118511449786);
INSERT INTO t_quantiles (df, t975) VALUES (7, 2.364624251592784);
INSERT INTO t_quantiles (df, t975) VALUES (8, 2.306004135204166);
INSERT INTO t_quantiles (df, t975) VALUES (9, 2.262157162798205);
INSERT INTO t_quantiles (df, t975) VALUES (10, 2.228138851986274);
INSERT INTO t_quantiles (df, t975) VALUES (11, 2.200985160091639);
INSERT INTO t_quantiles (df, t975) VALUES (12, 2.1788128296672284);
INSERT INTO t_quantiles (df, t975) VALUES (13, 2.1603686564627913);
INSERT INTO t_quantiles (df, t975) VALUES (14, 2.144786687917804);
INSERT INTO t_quantiles (df, t975) VALUES (15, 2.131449545559776);
INSERT INTO t_quantiles (df, t975) VALUES (16, 2.1199052992212546);
INSERT INTO t_quantiles (df, t975) VALUES (17, 2.1098155778333156);
INSERT INTO t_quantiles (df, t975) VALUES (18, 2.1009220402410382);
INSERT INTO t_quantiles (df, t975) VALUES (19, 2.0930240544083087);
INSERT INTO t_quantiles (df, t975) VALUES (20, 2.085963447265864);
INSERT INTO t_quantiles (df, t975) VALUES (21, 2.0796138447276795);
INSERT INTO t_quantiles (df, t975) VALUES (22, 2.0738730679040254);
INSERT INTO t_quantiles (df, t975) VALUES (23, 2.0686576104190486);
INSERT INTO t_quantiles (df, t975) VALUES (24, 2.0638985616280245);
INSERT INTO t_quantiles (df, t975) VALUES (25, 2.0595385527532972);
INSERT INTO t_quantiles (df, t975) VALUES (26, 2.0555294386428735);
INSERT INTO t_quantiles (df, t975) VALUES (27, 2.0518305164802846);
INSERT INTO t_quantiles (df, t975) VALUES (28, 2.0484071417952454);
INSERT INTO t_quantiles (df, t975) VALUES (29, 2.045229642132703);
INSERT INTO t_quantiles (df, t975) VALUES (30, 2.0422724563012378);
INSERT INTO t_quantiles (df, t975) VALUES (31, 2.039513446396408);
INSERT INTO t_quantiles (df, t975) VALUES (32, 2.0369333434601016);
INSERT INTO t_quantiles (df, t975) VALUES (33, 2.0345152974493383);
INSERT INTO t_quantiles (df, t975) VALUES (34, 2.0322445093177186);
INSERT INTO t_quantiles (df, t975) VALUES (35, 2.030107928250343);
INSERT INTO t_quantiles (df, t975) VALUES (36, 2.0280940009804502);
INSERT INTO t_quantiles (df, t975) VALUES (37, 2.0261924630291093);
INSERT INTO t_quantiles (df, t975) VALUES (38, 2.0243941639119694);
INSERT INTO t_quantiles (df, t975) VALUES (39, 2.022690920036761);
INSERT INTO t_quantiles (df, t975) VALUES (40, 2.021075390306273);
INSERT INTO t_quantiles (df, t975) VALUES (41, 2.019540970441376);
INSERT INTO t_quantiles (df, t975) VALUES (42, 2.0180817028184443);
INSERT INTO t_quantiles (df, t975) VALUES (43, 2.016692199227824);
INSERT INTO t_quantiles (df, t975) VALUES (44, 2.0153675744437636);
INSERT INTO t_quantiles (df, t975) VALUES (45, 2.014103388880846);
INSERT INTO t_quantiles (df, t975) VALUES (46, 2.012895598919429);
INSERT INTO t_quantiles (df, t975) VALUES (47, 2.0117405137297655);
INSERT INTO t_quantiles (df, t975) VALUES (48, 2.010634757624232);
INSERT INTO t_quantiles (df, t975) VALUES (49, 2.0095752371292392);
INSERT INTO t_quantiles (df, t975) VALUES (50, 2.008559112100761);
INSERT INTO t_quantiles (df, t975) VALUES (51, 2.007583770315836);
INSERT INTO t_quantiles (df, t975) VALUES (52, 2.006646805061688);
INSERT INTO t_quantiles (df, t975) VALUES (53, 2.0057459953178687);
INSERT INTO t_quantiles (df, t975) VALUES (54, 2.0048792881880564);
INSERT INTO t_quantiles (df, t975) VALUES (55, 2.0040447832891455);
INSERT INTO t_quantiles (df, t975) VALUES (56, 2.003240718847872);
INSERT INTO t_quantiles (df, t975) VALUES (57, 2.002465459291007);
INSERT INTO t_quantiles (df, t975) VALUES (58, 2.0017174841452356);
INSERT INTO t_quantiles (df, t975) VALUES (59, 2.000995378088267);
INSERT INTO t_quantiles (df, t975) VALUES (60, 2.0002978220142604);
INSERT INTO t_quantiles (df, t975) VALUES (61, 1.999623584994939);
INSERT INTO t_quantiles (df, t975) VALUES (62, 1.9989715170333788);
INSERT INTO t_quantiles (df, t975) VALUES (63, 1.998340542520741);
INSERT INTO t_quantiles (df, t975) VALUES (64, 1.997729654317693);
INSERT INTO t_quantiles (df, t975) VALUES (65, 1.9971379083920038);
INSERT INTO t_quantiles (df, t975) VALUES (66, 1.9965644189523117);
INSERT INTO t_quantiles (df, t975) VALUES (67, 1.996008354025296);
INSERT INTO t_quantiles (df, t975) VALUES (68, 1.9954689314298435);
INSERT INTO t_quantiles (df, t975) VALUES (69, 1.9949454151072374);
INSERT INTO t_quantiles (df, t975) VALUES (70, 1.994437111771186);
INSERT INTO t_quantiles (df, t975) VALUES (71, 1.9939433678456255);
INSERT INTO t_quantiles (df, t975) VALUES (72, 1.9934635666618719);
INSERT INTO t_quantiles (df, t975) VALUES (73, 1.992997125889855);
INSERT INTO t_quantiles (df, t975) VALUES (74, 1.992543495180932);
INSERT INTO t_quantiles (df, t975) VALUES (75, 1.9921021540022417);
INSERT INTO t_quantiles (df, t975) VALUES (76, 1.9916726096446642);
INSERT INTO t_quantiles (df, t975) VALUES (77, 1.9912543953883846);
INSERT INTO t_quantiles (df, t975) VALUES (78, 1.9908470688116906);
INSERT INTO t_quantiles (df, t975) VALUES (79, 1.9904502102301285);
INSERT INTO t_quantiles (df, t975) VALUES (80, 1.990063421254446);
INSERT INTO t_quantiles (df, t975) VALUES (81, 1.9896863234569029);
INSERT INTO t_quantiles (df, t975) VALUES (82, 1.989318557136572);
INSERT INTO t_quantiles (df, t975) VALUES (83, 1.9889597801751624);
INSERT INTO t_quantiles (df, t975) VALUES (84, 1.9886096669757083);
INSERT INTO t_quantiles (df, t975) VALUES (85, 1.9882679074772216);
INSERT INTO t_quantiles (df, t975) VALUES (86, 1.98793420623902);
INSERT INTO t_quantiles (df, t975) VALUES (87, 1.9876082815890708);
INSERT INTO t_quantiles (df, t975) VALUES (88, 1.9872898648311692);
INSERT INTO t_quantiles (df, t975) VALUES (89, 1.986978699506281);
INSERT INTO t_quantiles (df, t975) VALUES (90, 1.9866745407037683);
INSERT INTO t_quantiles (df, t975) VALUES (91, 1.9863771544186177);
INSERT INTO t_quantiles (df, t975) VALUES (92, 1.98608631695113);
INSERT INTO t_quantiles (df, t975) VALUES (93, 1.9858018143458227);
INSERT INTO t_quantiles (df, t975) VALUES (94, 1.985523441866604);
INSERT INTO t_quantiles (df, t975) VALUES (95, 1.9852510035054978);
INSERT INTO t_quantiles (df, t975) VALUES (96, 1.984984311522457);
INSERT INTO t_quantiles (df, t975) VALUES (97, 1.9847231860139845);
INSERT INTO t_quantiles (df, t975) VALUES (98, 1.9844674545084815);
INSERT INTO t_quantiles (df, t975) VALUES (99, 1.9842169515864174);
INSERT INTO t_quantiles (df, t975) VALUES (100, 1.9839715185235518);
INSERT INTO t_quantiles (df, t975) VALUES (101, 1.983731002955606);
INSERT INTO t_quantiles (df, t975) VALUES (102, 1.9834952585628793);
INSERT INTO t_quantiles (df, t975) VALUES (103, 1.9832641447734565);
INSERT INTO t_quantiles (df, t975) VALUES (104, 1.9830375264837259);
INSERT INTO t_quantiles (df, t975) VALUES (105, 1.9828152737950475);
INSERT INTO t_quantiles (df, t975) VALUES (106, 1.9825972617655006);
INSERT INTO t_quantiles (df, t975) VALUES (107, 1.9823833701756908);
INSERT INTO t_quantiles (df, t975) VALUES (108, 1.982173483307727);
INSERT INTO t_quantiles (df, t975) VALUES (109, 1.9819674897364825);
INSERT INTO t_quantiles (df, t975) VALUES (110, 1.981765282132372);
INSERT INTO t_quantiles (df, t975) VALUES (111, 1.9815667570749007);
INSERT INTO t_quantiles (df, t975) VALUES (112, 1.9813718148763053);
INSERT INTO t_quantiles (df, t975) VALUES (113, 1.981180359414661);
INSERT INTO t_quantiles (df, t975) VALUES (114, 1.9809922979758567);
INSERT INTO t_quantiles (df, t975) VALUES (115, 1.9808075411039094);
INSERT INTO t_quantiles (df, t975) VALUES (116, 1.9806260024590894);
INSERT INTO t_quantiles (df, t975) VALUES (117, 1.9804475986834025);
INSERT INTO t_quantiles (df, t975) VALUES (118, 1.980272249272974);
INSERT INTO t_quantiles (df, t975) VALUES (119, 1.9800998764569397);
INSERT INTO t_quantiles (df, t975) VALUES (120, 1.9799304050824402);
INSERT INTO t_quantiles (df, t975) VALUES (121, 1.9797637625053868);
INSERT INTO t_quantiles (df, t975) VALUES (122, 1.9795998784866382);
INSERT INTO t_quantiles (df, t975) VALUES (123, 1.9794386850933035);
INSERT INTO t_quantiles (df, t975) VALUES (124, 1.9792801166048548);
INSERT INTO t_quantiles (df, t975) VALUES (125, 1.9791241094237977);
INSERT INTO t_quantiles (df, t975) VALUES (126, 1.9789706019906281);
INSERT INTO t_quantiles (df, t975) VALUES (127, 1.9788195347028539);
INSERT INTO t_quantiles (df, t975) VALUES (128, 1.978670849837835);
INSERT INTO t_quantiles (df, t975) VALUES (129, 1.9785244914792577);
INSERT INTO t_quantiles (df, t975) VALUES (130, 1.9783804054470222);
INSERT INTO t_quantiles (df, t975) VALUES (131, 1.9782385392303798);
INSERT INTO t_quantiles (df, t975) VALUES (132, 1.9780988419241303);
INSERT INTO t_quantiles (df, t975) VALUES (133, 1.9779612641677262);
INSERT INTO t_quantiles (df, t975) VALUES (134, 1.9778257580871244);
INSERT INTO t_quantiles (df, t975) VALUES (135, 1.9776922772392527);
INSERT INTO t_quantiles (df, t975) VALUES (136, 1.977560776558935);
INSERT INTO t_quantiles (df, t975) VALUES (137, 1.9774312123081748);
INSERT INTO t_quantiles (df, t975) VALUES (138, 1.9773035420276506);
INSERT INTO t_quantiles (df, t975) VALUES (139, 1.977177724490333);
INSERT INTO t_quantiles (df, t975) VALUES (140, 1.9770537196570985);
INSERT INTO t_quantiles (df, t975) VALUES (141, 1.9769314886342528);
INSERT INTO t_quantiles (df, t975) VALUES (142, 1.9768109936328597);
INSERT INTO t_quantiles (df, t975) VALUES (143, 1.976692197929798);
INSERT INTO t_quantiles (df, t975) VALUES (144, 1.9765750658304433);
INSERT INTO t_quantiles (df, t975) VALUES (145, 1.9764595626329178);
INSERT INTO t_quantiles (df, t975) VALUES (146, 1.9763456545938125);
INSERT INTO t_quantiles (df, t975) VALUES (147, 1.976233308895327);
INSERT INTO t_quantiles (df, t975) VALUES (148, 1.9761224936137445);
INSERT INTO t_quantiles (df, t975) VALUES (149, 1.976013177689192);
INSERT INTO t_quantiles (df, t975) VALUES (150, 1.9759053308966201);
INSERT INTO t_quantiles (df, t975) VALUES (151, 1.9757989238179392);
INSERT INTO t_quantiles (df, t975) VALUES (152, 1.97569392781527);
INSERT INTO t_quantiles (df, t975) VALUES (153, 1.9755903150052492);
INSERT INTO t_quantiles (df, t975) VALUES (154, 1.9754880582343404);
INSERT INTO t_quantiles (df, t975) VALUES (155, 1.9753871310551152);
INSERT INTO t_quantiles (df, t975) VALUES (156, 1.9752875077034489);
INSERT INTO t_quantiles (df, t975) VALUES (157, 1.9751891630765912);
INSERT INTO t_quantiles (df, t975) VALUES (158, 1.9750920727120844);
INSERT INTO t_quantiles (df, t975) VALUES (159, 1.9749962127674756);
INSERT INTO t_quantiles (df, t975) VALUES (160, 1.9749015600007986);
INSERT INTO t_quantiles (df, t975) VALUES (161, 1.974808091751787);
INSERT INTO t_quantiles (df, t975) VALUES (162, 1.974715785923791);
INSERT INTO t_quantiles (df, t975) VALUES (163, 1.974624620966361);
INSERT INTO t_quantiles (df, t975) VALUES (164, 1.9745345758584756);
INSERT INTO t_quantiles (df, t975) VALUES (165, 1.9744456300923825);
INSERT INTO t_quantiles (df, t975) VALUES (166, 1.9743577636580294);
INSERT INTO t_quantiles (df, t975) VALUES (167, 1.9742709570280557);
INSERT INTO t_quantiles (df, t975) VALUES (168, 1.9741851911433248);
INSERT INTO t_quantiles (df, t975) VALUES (169, 1.9741004473989765);
INSERT INTO t_quantiles (df, t975) VALUES (170, 1.9740167076309703);
INSERT INTO t_quantiles (df, t975) VALUES (171, 1.973933954103107);
INSERT INTO t_quantiles (df, t975) VALUES (172, 1.9738521694945061);
INSERT INTO t_quantiles (df, t975) VALUES (173, 1.973771336887522);
INSERT INTO t_quantiles (df, t975) VALUES (174, 1.9736914397560734);
INSERT INTO t_quantiles (df, t975) VALUES (175, 1.9736124619543842);
INSERT INTO t_quantiles (df, t975) VALUES (176, 1.9735343877061042);
INSERT INTO t_quantiles (df, t975) VALUES (177, 1.9734572015938032);
INSERT INTO t_quantiles (df, t975) VALUES (178, 1.9733808885488238);
INSERT INTO t_quantiles (df, t975) VALUES (179, 1.9733054338414737);
INSERT INTO t_quantiles (df, t975) VALUES (180, 1.9732308230715456);
INSERT INTO t_quantiles (df, t975) VALUES (181, 1.9731570421591593);
INSERT INTO t_quantiles (df, t975) VALUES (182, 1.973084077335903);
INSERT INTO t_quantiles (df, t975) VALUES (183, 1.973011915136267);
INSERT INTO t_quantiles (df, t975) VALUES (184, 1.9729405423893598);
INSERT INTO t_quantiles (df, t975) VALUES (185, 1.9728699462108963);
INSERT INTO t_quantiles (df, t975) VALUES (186, 1.9728001139954416);
INSERT INTO t_quantiles (df, t975) VALUES (187, 1.9727310334089099);
INSERT INTO t_quantiles (df, t975) VALUES (188, 1.9726626923813002);
INSERT INTO t_quantiles (df, t975) VALUES (189, 1.9725950790996682);
INSERT INTO t_quantiles (df, t975) VALUES (190, 1.972528182001318);
INSERT INTO t_quantiles (df, t975) VALUES (191, 1.972461989767211);
INSERT INTO t_quantiles (df, t975) VALUES (192, 1.9723964913155805);
INSERT INTO t_quantiles (df, t975) VALUES (193, 1.9723316757957499);
INSERT INTO t_quantiles (df, t975) VALUES (194, 1.9722675325821355);
INSERT INTO t_quantiles (df, t975) VALUES (195, 1.9722040512684433);
INSERT INTO t_quantiles (df, t975) VALUES (196, 1.9721412216620415);
INSERT INTO t_quantiles (df, t975) VALUES (197, 1.9720790337785026);
INSERT INTO t_quantiles (df, t975) VALUES (198, 1.9720174778363146);
INSERT INTO t_quantiles (df, t975) VALUES (199, 1.9719565442517533);
INSERT INTO t_quantiles (df, t975) VALUES (200, 1.9718962236339088);
INSERT INTO t_quantiles (df, t975) VALUES (201, 1.971836506779859);
INSERT INTO t_quantiles (df, t975) VALUES (202, 1.9717773846699893);
INSERT INTO t_quantiles (df, t975) VALUES (203, 1.9717188484634527);
INSERT INTO t_quantiles (df, t975) VALUES (204, 1.971660889493761);
INSERT INTO t_quantiles (df, t975) VALUES (205, 1.971603499264511);
INSERT INTO t_quantiles (df, t975) VALUES (206, 1.9715466694452266);
INSERT INTO t_quantiles (df, t975) VALUES (207, 1.971490391867333);
INSERT INTO t_quantiles (df, t975) VALUES (208, 1.971434658520241);
INSERT INTO t_quantiles (df, t975) VALUES (209, 1.9713794615475437);
INSERT INTO t_quantiles (df, t975) VALUES (210, 1.9713247932433307);
INSERT INTO t_quantiles (df, t975) VALUES (211, 1.9712706460485947);
INSERT INTO t_quantiles (df, t975) VALUES (212, 1.9712170125477517);
INSERT INTO t_quantiles (df, t975) VALUES (213, 1.971163885465255);
INSERT INTO t_quantiles (df, t975) VALUES (214, 1.971111257662303);
INSERT INTO t_quantiles (df, t975) VALUES (215, 1.971059122133646);
INSERT INTO t_quantiles (df, t975) VALUES (216, 1.9710074720044717);
INSERT INTO t_quantiles (df, t975) VALUES (217, 1.9709563005273885);
INSERT INTO t_quantiles (df, t975) VALUES (218, 1.970905601079485);
INSERT INTO t_quantiles (df, t975) VALUES (219, 1.9708553671594717);
INSERT INTO t_quantiles (df, t975) VALUES (220, 1.9708055923849026);
INSERT INTO t_quantiles (df, t975) VALUES (221, 1.970756270489474);
INSERT INTO t_quantiles (df, t975) VALUES (222, 1.9707073953203922);
INSERT INTO t_quantiles (df, t975) VALUES (223, 1.9706589608358154);
INSERT INTO t_quantiles (df, t975) VALUES (224, 1.9706109611023637);
INSERT INTO t_quantiles (df, t975) VALUES (225, 1.970563390292698);
INSERT INTO t_quantiles (df, t975) VALUES (226, 1.97051624268316);
INSERT INTO t_quantiles (df, t975) VALUES (227, 1.9704695126514764);
INSERT INTO t_quantiles (df, t975) VALUES (228, 1.9704231946745232);
INSERT INTO t_quantiles (df, t975) VALUES (229, 1.9703772833261541);
INSERT INTO t_quantiles (df, t975) VALUES (230, 1.9703317732750762);
INSERT INTO t_quantiles (df, t975) VALUES (231, 1.9702866592827877);
INSERT INTO t_quantiles (df, t975) VALUES (232, 1.9702419362015695);
INSERT INTO t_quantiles (df, t975) VALUES (233, 1.9701975989725262);
INSERT INTO t_quantiles (df, t975) VALUES (234, 1.9701536426236785);
INSERT INTO t_quantiles (df, t975) VALUES (235, 1.9701100622681034);
INSERT INTO t_quantiles (df, t975) VALUES (236, 1.970066853102126);
INSERT INTO t_quantiles (df, t975) VALUES (237, 1.9700240104035507);
INSERT INTO t_quantiles (df, t975) VALUES (238, 1.9699815295299445);
INSERT INTO t_quantiles (df, t975) VALUES (239, 1.9699394059169584);
INSERT INTO t_quantiles (df, t975) VALUES (240, 1.9698976350766917);
INSERT INTO t_quantiles (df, t975) VALUES (241, 1.969856212596099);
INSERT INTO t_quantiles (df, t975) VALUES (242, 1.969815134135437);
INSERT INTO t_quantiles (df, t975) VALUES (243, 1.9697743954267473);
INSERT INTO t_quantiles (df, t975) VALUES (244, 1.9697339922723787);
INSERT INTO t_quantiles (df, t975) VALUES (245, 1.9696939205435462);
INSERT INTO t_quantiles (df, t975) VALUES (246, 1.9696541761789226);
INSERT INTO t_quantiles (df, t975) VALUES (247, 1.9696147551832692);
INSERT INTO t_quantiles (df, t975) VALUES (248, 1.969575653626095);
INSERT INTO t_quantiles (df, t975) VALUES (249, 1.9695368676403504);
INSERT INTO t_quantiles (df, t975) VALUES (250, 1.9694983934211532);
INSERT INTO t_quantiles (df, t975) VALUES (251, 1.9694602272245434);
INSERT INTO t_quantiles (df, t975) VALUES (252, 1.9694223653662697);
INSERT INTO t_quantiles (df, t975) VALUES (253, 1.9693848042206037);
INSERT INTO t_quantiles (df, t975) VALUES (254, 1.9693475402191811);
INSERT INTO t_quantiles (df, t975) VALUES (255, 1.9693105698498752);
INSERT INTO t_quantiles (df, t975) VALUES (256, 1.9692738896556876);
INSERT INTO t_quantiles (df, t975) VALUES (257, 1.9692374962336778);
INSERT INTO t_quantiles (df, t975) VALUES (258, 1.9692013862339042);
INSERT INTO t_quantiles (df, t975) VALUES (259, 1.969165556358402);
INSERT INTO t_quantiles (df, t975) VALUES (260, 1.9691300033601737);
INSERT INTO t_quantiles (df, t975) VALUES (261, 1.969094724042212);
INSERT INTO t_quantiles (df, t975) VALUES (262, 1.96905971525654);
INSERT INTO t_quantiles (df, t975) VALUES (263, 1.9690249739032764);
INSERT INTO t_quantiles (df, t975) VALUES (264, 1.9689904969297174);
INSERT INTO t_quantiles (df, t975) VALUES (265, 1.9689562813294454);
INSERT INTO t_quantiles (df, t975) VALUES (266, 1.9689223241414542);
INSERT INTO t_quantiles (df, t975) VALUES (267, 1.968888622449294);
INSERT INTO t_quantiles (df, t975) VALUES (268, 1.9688551733802389);
INSERT INTO t_quantiles (df, t975) VALUES (269, 1.9688219741044666);
INSERT INTO t_quantiles (df, t975) VALUES (270, 1.968789021834264);
INSERT INTO t_quantiles (df, t975) VALUES (271, 1.968756313823246);
INSERT INTO t_quantiles (df, t975) VALUES (272, 1.9687238473655904);
INSERT INTO t_quantiles (df, t975) VALUES (273, 1.9686916197952946);
INSERT INTO t_quantiles (df, t975) VALUES (274, 1.9686596284854445);
INSERT INTO t_quantiles (df, t975) VALUES (275, 1.9686278708475007);
INSERT INTO t_quantiles (df, t975) VALUES (276, 1.9685963443305998);
INSERT INTO t_quantiles (df, t975) VALUES (277, 1.9685650464208733);
INSERT INTO t_quantiles (df, t975) VALUES (278, 1.9685339746407768);
INSERT INTO t_quantiles (df, t975) VALUES (279, 1.9685031265484387);
INSERT INTO t_quantiles (df, t975) VALUES (280, 1.968472499737019);
INSERT INTO t_quantiles (df, t975) VALUES (281, 1.9684420918340835);
INSERT INTO t_quantiles (df, t975) VALUES (282, 1.9684119005009906);
INSERT INTO t_quantiles (df, t975) VALUES (283, 1.968381923432295);
INSERT INTO t_quantiles (df, t975) VALUES (284, 1.9683521583551564);
INSERT INTO t_quantiles (df, t975) VALUES (285, 1.9683226030287668);
INSERT INTO t_quantiles (df, t975) VALUES (286, 1.9682932552437897);
INSERT INTO t_quantiles (df, t975) VALUES (287, 1.9682641128218081);
INSERT INTO t_quantiles (df, t975) VALUES (288, 1.9682351736147847);
INSERT INTO t_quantiles (df, t975) VALUES (289, 1.9682064355045363);
INSERT INTO t_quantiles (df, t975) VALUES (290, 1.9681778964022145);
INSERT INTO t_quantiles (df, t975) VALUES (291, 1.9681495542478025);
INSERT INTO t_quantiles (df, t975) VALUES (292, 1.968121407009617);
INSERT INTO t_quantiles (df, t975) VALUES (293, 1.968093452683822);
INSERT INTO t_quantiles (df, t975) VALUES (294, 1.9680656892939576);
INSERT INTO t_quantiles (df, t975) VALUES (295, 1.9680381148904695);
INSERT INTO t_quantiles (df, t975) VALUES (296, 1.9680107275502552);
INSERT INTO t_quantiles (df, t975) VALUES (297, 1.9679835253762161);
INSERT INTO t_quantiles (df, t975) VALUES (298, 1.9679565064968196);
INSERT INTO t_quantiles (df, t975) VALUES (299, 1.9679296690656698);
INSERT INTO t_quantiles (df, t975) VALUES (300, 1.9679030112610865);
INSERT INTO t_quantiles (df, t975) VALUES (301, 1.9678765312856952);
INSERT INTO t_quantiles (df, t975) VALUES (302, 1.9678502273660192);
INSERT INTO t_quantiles (df, t975) VALUES (303, 1.9678240977520869);
INSERT INTO t_quantiles (df, t975) VALUES (304, 1.967798140717044);
INSERT INTO t_quantiles (df, t975) VALUES (305, 1.9677723545567687);
INSERT INTO t_quantiles (df, t975) VALUES (306, 1.9677467375895046);
INSERT INTO t_quantiles (df, t975) VALUES (307, 1.9677212881554906);
INSERT INTO t_quantiles (df, t975) VALUES (308, 1.9676960046166057);
INSERT INTO t_quantiles (df, t975) VALUES (309, 1.9676708853560145);
INSERT INTO t_quantiles (df, t975) VALUES (310, 1.9676459287778245);
INSERT INTO t_quantiles (df, t975) VALUES (311, 1.9676211333067477);
INSERT INTO t_quantiles (df, t975) VALUES (312, 1.9675964973877695);
INSERT INTO t_quantiles (df, t975) VALUES (313, 1.967572019485822);
INSERT INTO t_quantiles (df, t975) VALUES (314, 1.9675476980854674);
INSERT INTO t_quantiles (df, t975) VALUES (315, 1.967523531690583);
INSERT INTO t_quantiles (df, t975) VALUES (316, 1.9674995188240583);
INSERT INTO t_quantiles (df, t975) VALUES (317, 1.967475658027488);
INSERT INTO t_quantiles (df, t975) VALUES (318, 1.9674519478608814);
INSERT INTO t_quantiles (df, t975) VALUES (319, 1.9674283869023719);
INSERT INTO t_quantiles (df, t975) VALUES (320, 1.9674049737479322);
INSERT INTO t_quantiles (df, t975) VALUES (321, 1.9673817070110948);
INSERT INTO t_quantiles (df, t975) VALUES (322, 1.96735858532268);
INSERT INTO t_quantiles (df, t975) VALUES (323, 1.967335607330525);
INSERT INTO t_quantiles (df, t975) VALUES (324, 1.9673127716992227);
INSERT INTO t_quantiles (df, t975) VALUES (325, 1.9672900771098607);
INSERT INTO t_quantiles (df, t975) VALUES (326, 1.9672675222597704);
INSERT INTO t_quantiles (df, t975) VALUES (327, 1.967245105862275);
INSERT INTO t_quantiles (df, t975) VALUES (328, 1.9672228266464447);
INSERT INTO t_quantiles (df, t975) VALUES (329, 1.9672006833568592);
INSERT INTO t_quantiles (df, t975) VALUES (330, 1.967178674753369);
INSERT INTO t_quantiles (df, t975) VALUES (331, 1.9671567996108663);
INSERT INTO t_quantiles (df, t975) VALUES (332, 1.9671350567190558);
INSERT INTO t_quantiles (df, t975) VALUES (333, 1.9671134448822318);
INSERT INTO t_quantiles (df, t975) VALUES (334, 1.9670919629190604);
INSERT INTO t_quantiles (df, t975) VALUES (335, 1.9670706096623631);
INSERT INTO t_quantiles (df, t975) VALUES (336, 1.9670493839589043);
INSERT INTO t_quantiles (df, t975) VALUES (337, 1.9670282846691862);
INSERT INTO t_quantiles (df, t975) VALUES (338, 1.9670073106672432);
INSERT INTO t_quantiles (df, t975) VALUES (339, 1.9669864608404424);
INSERT INTO t_quantiles (df, t975) VALUES (340, 1.9669657340892857);
INSERT INTO t_quantiles (df, t975) VALUES (341, 1.9669451293272178);
INSERT INTO t_quantiles (df, t975) VALUES (342, 1.9669246454804357);
INSERT INTO t_quantiles (df, t975) VALUES (343, 1.9669042814877027);
INSERT INTO t_quantiles (df, t975) VALUES (344, 1.9668840363001647);
INSERT INTO t_quantiles (df, t975) VALUES (345, 1.9668639088811686);
INSERT INTO t_quantiles (df, t975) VALUES (346, 1.9668438982060894);
INSERT INTO t_quantiles (df, t975) VALUES (347, 1.9668240032621516);
INSERT INTO t_quantiles (df, t975) VALUES (348, 1.9668042230482623);
INSERT INTO t_quantiles (df, t975) VALUES (349, 1.96678455657484);
INSERT INTO t_quantiles (df, t975) VALUES (350, 1.966765002863652);
INSERT INTO t_quantiles (df, t975) VALUES (351, 1.966745560947652);
INSERT INTO t_quantiles (df, t975) VALUES (352, 1.9667262298708184);
INSERT INTO t_quantiles (df, t975) VALUES (353, 1.9667070086879994);
INSERT INTO t_quantiles (df, t975) VALUES (354, 1.9666878964647607);
INSERT INTO t_quantiles (df, t975) VALUES (355, 1.9666688922772295);
INSERT INTO t_quantiles (df, t975) VALUES (356, 1.96664999521195);
INSERT INTO t_quantiles (df, t975) VALUES (357, 1.9666312043657346);
INSERT INTO t_quantiles (df, t975) VALUES (358, 1.966612518845521);
INSERT INTO t_quantiles (df, t975) VALUES (359, 1.9665939377682302);
INSERT INTO t_quantiles (df, t975) VALUES (360, 1.9665754602606274);
INSERT INTO t_quantiles (df, t975) VALUES (361, 1.9665570854591863);
INSERT INTO t_quantiles (df, t975) VALUES (362, 1.9665388125099514);
INSERT INTO t_quantiles (df, t975) VALUES (363, 1.9665206405684121);
INSERT INTO t_quantiles (df, t975) VALUES (364, 1.966502568799364);
INSERT INTO t_quantiles (df, t975) VALUES (365, 1.966484596376788);
INSERT INTO t_quantiles (df, t975) VALUES (366, 1.9664667224837213);
INSERT INTO t_quantiles (df, t975) VALUES (367, 1.9664489463121344);
INSERT INTO t_quantiles (df, t975) VALUES (368, 1.9664312670628084);
INSERT INTO t_quantiles (df, t975) VALUES (369, 1.9664136839452164);
INSERT INTO t_quantiles (df, t975) VALUES (370, 1.9663961961774052);
INSERT INTO t_quantiles (df, t975) VALUES (371, 1.9663788029858804);
INSERT INTO t_quantiles (df, t975) VALUES (372, 1.966361503605489);
INSERT INTO t_quantiles (df, t975) VALUES (373, 1.9663442972793106);
INSERT INTO t_quantiles (df, t975) VALUES (374, 1.9663271832585472);
INSERT INTO t_quantiles (df, t975) VALUES (375, 1.966310160802412);
INSERT INTO t_quantiles (df, t975) VALUES (376, 1.9662932291780244);
INSERT INTO t_quantiles (df, t975) VALUES (377, 1.9662763876603029);
INSERT INTO t_quantiles (df, t975) VALUES (378, 1.9662596355318647);
INSERT INTO t_quantiles (df, t975) VALUES (379, 1.966242972082922);
INSERT INTO t_quantiles (df, t975) VALUES (380, 1.9662263966111804);
INSERT INTO t_quantiles (df, t975) VALUES (381, 1.9662099084217421);
INSERT INTO t_quantiles (df, t975) VALUES (382, 1.9661935068270102);
INSERT INTO t_quantiles (df, t975) VALUES (383, 1.9661771911465886);
INSERT INTO t_quantiles (df, t975) VALUES (384, 1.9661609607071924);
INSERT INTO t_quantiles (df, t975) VALUES (385, 1.966144814842553);
INSERT INTO t_quantiles (df, t975) VALUES (386, 1.966128752893327);
INSERT INTO t_quantiles (df, t975) VALUES (387, 1.966112774207007);
INSERT INTO t_quantiles (df, t975) VALUES (388, 1.9660968781378336);
INSERT INTO t_quantiles (df, t975) VALUES (389, 1.9660810640467081);
INSERT INTO t_quantiles (df, t975) VALUES (390, 1.9660653313011052);
INSERT INTO t_quantiles (df, t975) VALUES (391, 1.9660496792749909);
INSERT INTO t_quantiles (df, t975) VALUES (392, 1.9660341073487397);
INSERT INTO t_quantiles (df, t975) VALUES (393, 1.9660186149090502);
INSERT INTO t_quantiles (df, t975) VALUES (394, 1.966003201348867);
INSERT INTO t_quantiles (df, t975) VALUES (395, 1.9659878660673014);
INSERT INTO t_quantiles (df, t975) VALUES (396, 1.9659726084695506);
INSERT INTO t_quantiles (df, t975) VALUES (397, 1.9659574279668237);
INSERT INTO t_quantiles (df, t975) VALUES (398, 1.9659423239762661);
INSERT INTO t_quantiles (df, t975) VALUES (399, 1.965927295920882);
INSERT INTO t_quantiles (df, t975) VALUES (400, 1.9659123432294627);
INSERT INTO t_quantiles (df, t975) VALUES (401, 1.965897465336516);
INSERT INTO t_quantiles (df, t975) VALUES (402, 1.965882661682192);
INSERT INTO t_quantiles (df, t975) VALUES (403, 1.9658679317122134);
INSERT INTO t_quantiles (df, t975) VALUES (404, 1.9658532748778086);
INSERT INTO t_quantiles (df, t975) VALUES (405, 1.9658386906356395);
INSERT INTO t_quantiles (df, t975) VALUES (406, 1.9658241784477395);
INSERT INTO t_quantiles (df, t975) VALUES (407, 1.965809737781443);
INSERT INTO t_quantiles (df, t975) VALUES (408, 1.9657953681093217);
INSERT INTO t_quantiles (df, t975) VALUES (409, 1.9657810689091213);
INSERT INTO t_quantiles (df, t975) VALUES (410, 1.9657668396636967);
INSERT INTO t_quantiles (df, t975) VALUES (411, 1.9657526798609517);
INSERT INTO t_quantiles (df, t975) VALUES (412, 1.9657385889937733);
INSERT INTO t_quantiles (df, t975) VALUES (413, 1.9657245665599785);
INSERT INTO t_quantiles (df, t975) VALUES (414, 1.9657106120622458);
INSERT INTO t_quantiles (df, t975) VALUES (415, 1.9656967250080652);
INSERT INTO t_quantiles (df, t975) VALUES (416, 1.965682904909672);
INSERT INTO t_quantiles (df, t975) VALUES (417, 1.965669151283996);
INSERT INTO t_quantiles (df, t975) VALUES (418, 1.965655463652602);
INSERT INTO t_quantiles (df, t975) VALUES (419, 1.965641841541636);
INSERT INTO t_quantiles (df, t975) VALUES (420, 1.9656282844817683);
INSERT INTO t_quantiles (df, t975) VALUES (421, 1.9656147920081415);
INSERT INTO t_quantiles (df, t975) VALUES (422, 1.9656013636603176);
INSERT INTO t_quantiles (df, t975) VALUES (423, 1.9655879989822245);
INSERT INTO t_quantiles (df, t975) VALUES (424, 1.965574697522104);
INSERT INTO t_quantiles (df, t975) VALUES (425, 1.9655614588324626);
INSERT INTO t_quantiles (df, t975) VALUES (426, 1.9655482824700197);
INSERT INTO t_quantiles (df, t975) VALUES (427, 1.965535167995659);
INSERT INTO t_quantiles (df, t975) VALUES (428, 1.9655221149743798);
INSERT INTO t_quantiles (df, t975) VALUES (429, 1.9655091229752475);
INSERT INTO t_quantiles (df, t975) VALUES (430, 1.9654961915713496);
INSERT INTO t_quantiles (df, t975) VALUES (431, 1.9654833203397435);
INSERT INTO t_quantiles (df, t975) VALUES (432, 1.9654705088614155);
INSERT INTO t_quantiles (df, t975) VALUES (433, 1.965457756721234);
INSERT INTO t_quantiles (df, t975) VALUES (434, 1.965445063507901);
INSERT INTO t_quantiles (df, t975) VALUES (435, 1.9654324288139142);
INSERT INTO t_quantiles (df, t975) VALUES (436, 1.9654198522355186);
INSERT INTO t_quantiles (df, t975) VALUES (437, 1.9654073333726643);
INSERT INTO t_quantiles (df, t975) VALUES (438, 1.965394871828966);
INSERT INTO t_quantiles (df, t975) VALUES (439, 1.9653824672116587);
INSERT INTO t_quantiles (df, t975) VALUES (440, 1.9653701191315587);
INSERT INTO t_quantiles (df, t975) VALUES (441, 1.9653578272030217);
INSERT INTO t_quantiles (df, t975) VALUES (442, 1.9653455910439017);
INSERT INTO t_quantiles (df, t975) VALUES (443, 1.9653334102755147);
INSERT INTO t_quantiles (df, t975) VALUES (444, 1.965321284522594);
INSERT INTO t_quantiles (df, t975) VALUES (445, 1.9653092134132584);
INSERT INTO t_quantiles (df, t975) VALUES (446, 1.965297196578969);
INSERT INTO t_quantiles (df, t975) VALUES (447, 1.965285233654494);
INSERT INTO t_quantiles (df, t975) VALUES (448, 1.965273324277872);
INSERT INTO t_quantiles (df, t975) VALUES (449, 1.9652614680903735);
INSERT INTO t_quantiles (df, t975) VALUES (450, 1.9652496647364672);
INSERT INTO t_quantiles (df, t975) VALUES (451, 1.965237913863782);
INSERT INTO t_quantiles (df, t975) VALUES (452, 1.965226215123075);
INSERT INTO t_quantiles (df, t975) VALUES (453, 1.965214568168194);
INSERT INTO t_quantiles (df, t975) VALUES (454, 1.9652029726560458);
INSERT INTO t_quantiles (df, t975) VALUES (455, 1.9651914282465597);
INSERT INTO t_quantiles (df, t975) VALUES (456, 1.9651799346026573);
INSERT INTO t_quantiles (df, t975) VALUES (457, 1.9651684913902168);
INSERT INTO t_quantiles (df, t975) VALUES (458, 1.9651570982780435);
INSERT INTO t_quantiles (df, t975) VALUES (459, 1.9651457549378362);
INSERT INTO t_quantiles (df, t975) VALUES (460, 1.965134461044154);
INSERT INTO t_quantiles (df, t975) VALUES (461, 1.9651232162743895);
INSERT INTO t_quantiles (df, t975) VALUES (462, 1.965112020308735);
INSERT INTO t_quantiles (df, t975) VALUES (463, 1.9651008728301518);
INSERT INTO t_quantiles (df, t975) VALUES (464, 1.965089773524342);
INSERT INTO t_quantiles (df, t975) VALUES (465, 1.9650787220797188);
INSERT INTO t_quantiles (df, t975) VALUES (466, 1.9650677181873757);
INSERT INTO t_quantiles (df, t975) VALUES (467, 1.96505676154106);
INSERT INTO t_quantiles (df, t975) VALUES (468, 1.965045851837141);
INSERT INTO t_quantiles (df, t975) VALUES (469, 1.9650349887745873);
INSERT INTO t_quantiles (df, t975) VALUES (470, 1.9650241720549337);
INSERT INTO t_quantiles (df, t975) VALUES (471, 1.9650134013822564);
INSERT INTO t_quantiles (df, t975) VALUES (472, 1.9650026764631465);
INSERT INTO t_quantiles (df, t975) VALUES (473, 1.9649919970066823);
INSERT INTO t_quantiles (df, t975) VALUES (474, 1.9649813627244033);
INSERT INTO t_quantiles (df, t975) VALUES (475, 1.964970773330284);
INSERT INTO t_quantiles (df, t975) VALUES (476, 1.9649602285407082);
INSERT INTO t_quantiles (df, t975) VALUES (477, 1.9649497280744443);
INSERT INTO t_quantiles (df, t975) VALUES (478, 1.9649392716526213);
INSERT INTO t_quantiles (df, t975) VALUES (479, 1.9649288589987006);
INSERT INTO t_quantiles (df, t975) VALUES (480, 1.9649184898384549);
INSERT INTO t_quantiles (df, t975) VALUES (481, 1.964908163899942);
INSERT INTO t_quantiles (df, t975) VALUES (482, 1.964897880913484);
INSERT INTO t_quantiles (df, t975) VALUES (483, 1.96488764061164);
INSERT INTO t_quantiles (df, t975) VALUES (484, 1.9648774427291862);
INSERT INTO t_quantiles (df, t975) VALUES (485, 1.9648672870030894);
INSERT INTO t_quantiles (df, t975) VALUES (486, 1.9648571731724906);
INSERT INTO t_quantiles (df, t975) VALUES (487, 1.9648471009786732);
INSERT INTO t_quantiles (df, t975) VALUES (488, 1.9648370701650508);
INSERT INTO t_quantiles (df, t975) VALUES (489, 1.9648270804771397);
INSERT INTO t_quantiles (df, t975) VALUES (490, 1.9648171316625378);
INSERT INTO t_quantiles (df, t975) VALUES (491, 1.9648072234709044);
INSERT INTO t_quantiles (df, t975) VALUES (492, 1.9647973556539404);
INSERT INTO t_quantiles (df, t975) VALUES (493, 1.9647875279653642);
INSERT INTO t_quantiles (df, t975) VALUES (494, 1.9647777401608955);
INSERT INTO t_quantiles (df, t975) VALUES (495, 1.9647679919982293);
INSERT INTO t_quantiles (df, t975) VALUES (496, 1.9647582832370238);
INSERT INTO t_quantiles (df, t975) VALUES (497, 1.9647486136388719);
INSERT INTO t_quantiles (df, t975) VALUES (498, 1.9647389829672888);
INSERT INTO t_quantiles (df, t975) VALUES (499, 1.9647293909876886);
INSERT INTO t_quantiles (df, t975) VALUES (500, 1.9647198374673676);
INSERT INTO t_quantiles (df, t975) VALUES (501, 1.9647103221754827);
INSERT INTO t_quantiles (df, t975) VALUES (502, 1.9647008448830363);
INSERT INTO t_quantiles (df, t975) VALUES (503, 1.9646914053628555);
INSERT INTO t_quantiles (df, t975) VALUES (504, 1.9646820033895744);
INSERT INTO t_quantiles (df, t975) VALUES (505, 1.9646726387396167);
INSERT INTO t_quantiles (df, t975) VALUES (506, 1.964663311191177);
INSERT INTO t_quantiles (df, t975) VALUES (507, 1.9646540205242053);
INSERT INTO t_quantiles (df, t975) VALUES (508, 1.9646447665203868);
INSERT INTO t_quantiles (df, t975) VALUES (509, 1.964635548963127);
INSERT INTO t_quantiles (df, t975) VALUES (510, 1.9646263676375346);
INSERT INTO t_quantiles (df, t975) VALUES (511, 1.9646172223304033);
INSERT INTO t_quantiles (df, t975) VALUES (512, 1.9646081128301982);
INSERT INTO t_quantiles (df, t975) VALUES (513, 1.964599038927035);
INSERT INTO t_quantiles (df, t975) VALUES (514, 1.9645900004126684);
INSERT INTO t_quantiles (df, t975) VALUES (515, 1.9645809970804742);
INSERT INTO t_quantiles (df, t975) VALUES (516, 1.9645720287254322);
INSERT INTO t_quantiles (df, t975) VALUES (517, 1.964563095144114);
INSERT INTO t_quantiles (df, t975) VALUES (518, 1.9645541961346644);
INSERT INTO t_quantiles (df, t975) VALUES (519, 1.9645453314967882);
INSERT INTO t_quantiles (df, t975) VALUES (520, 1.9645365010317337);
INSERT INTO t_quantiles (df, t975) VALUES (521, 1.9645277045422789);
INSERT INTO t_quantiles (df, t975) VALUES (522, 1.9645189418327167);
INSERT INTO t_quantiles (df, t975) VALUES (523, 1.964510212708841);
INSERT INTO t_quantiles (df, t975) VALUES (524, 1.964501516977929);
INSERT INTO t_quantiles (df, t975) VALUES (525, 1.964492854448733);
INSERT INTO t_quantiles (df, t975) VALUES (526, 1.9644842249314602);
INSERT INTO t_quantiles (df, t975) VALUES (527, 1.9644756282377631);
INSERT INTO t_quantiles (df, t975) VALUES (528, 1.9644670641807238);
INSERT INTO t_quantiles (df, t975) VALUES (529, 1.9644585325748403);
INSERT INTO t_quantiles (df, t975) VALUES (530, 1.9644500332360153);
INSERT INTO t_quantiles (df, t975) VALUES (531, 1.9644415659815402);
INSERT INTO t_quantiles (df, t975) VALUES (532, 1.9644331306300833);
INSERT INTO t_quantiles (df, t975) VALUES (533, 1.9644247270016773);
INSERT INTO t_quantiles (df, t975) VALUES (534, 1.9644163549177054);
INSERT INTO t_quantiles (df, t975) VALUES (535, 1.96440801420089);
INSERT INTO t_quantiles (df, t975) VALUES (536, 1.9643997046752786);
INSERT INTO t_quantiles (df, t975) VALUES (537, 1.9643914261662327);
INSERT INTO t_quantiles (df, t975) VALUES (538, 1.9643831785004149);
INSERT INTO t_quantiles (df, t975) VALUES (539, 1.9643749615057766);
INSERT INTO t_quantiles (df, t975) VALUES (540, 1.964366775011548);
INSERT INTO t_quantiles (df, t975) VALUES (541, 1.9643586188482225);
INSERT INTO t_quantiles (df, t975) VALUES (542, 1.9643504928475488);
INSERT INTO t_quantiles (df, t975) VALUES (543, 1.9643423968425169);
INSERT INTO t_quantiles (df, t975) VALUES (544, 1.9643343306673486);
INSERT INTO t_quantiles (df, t975) VALUES (545, 1.9643262941574833);
INSERT INTO t_quantiles (df, t975) VALUES (546, 1.9643182871495701);
INSERT INTO t_quantiles (df, t975) VALUES (547, 1.964310309481455);
INSERT INTO t_quantiles (df, t975) VALUES (548, 1.96430236099217);
INSERT INTO t_quantiles (df, t975) VALUES (549, 1.9642944415219212);
INSERT INTO t_quantiles (df, t975) VALUES (550, 1.9642865509120817);
INSERT INTO t_quantiles (df, t975) VALUES (551, 1.964278689005177);
INSERT INTO t_quantiles (df, t975) VALUES (552, 1.9642708556448771);
INSERT INTO t_quantiles (df, t975) VALUES (553, 1.9642630506759842);
INSERT INTO t_quantiles (df, t975) VALUES (554, 1.964255273944424);
INSERT INTO t_quantiles (df, t975) VALUES (555, 1.964247525297235);
INSERT INTO t_quantiles (df, t975) VALUES (556, 1.9642398045825589);
INSERT INTO t_quantiles (df, t975) VALUES (557, 1.9642321116496297);
INSERT INTO t_quantiles (df, t975) VALUES (558, 1.9642244463487646);
INSERT INTO t_quantiles (df, t975) VALUES (559, 1.964216808531354);
INSERT INTO t_quantiles (df, t975) VALUES (560, 1.964209198049853);
INSERT INTO t_quantiles (df, t975) VALUES (561, 1.9642016147577697);
INSERT INTO t_quantiles (df, t975) VALUES (562, 1.9641940585096578);
INSERT INTO t_quantiles (df, t975) VALUES (563, 1.9641865291611056);
INSERT INTO t_quantiles (df, t975) VALUES (564, 1.9641790265687296);
INSERT INTO t_quantiles (df, t975) VALUES (565, 1.9641715505901611);
INSERT INTO t_quantiles (df, t975) VALUES (566, 1.9641641010840425);
INSERT INTO t_quantiles (df, t975) VALUES (567, 1.964156677910013);
INSERT INTO t_quantiles (df, t975) VALUES (568, 1.9641492809287033);
INSERT INTO t_quantiles (df, t975) VALUES (569, 1.9641419100017257);
INSERT INTO t_quantiles (df, t975) VALUES (570, 1.9641345649916668);
INSERT INTO t_quantiles (df, t975) VALUES (571, 1.9641272457620762);
INSERT INTO t_quantiles (df, t975) VALUES (572, 1.9641199521774604);
INSERT INTO t_quantiles (df, t975) VALUES (573, 1.9641126841032746);
INSERT INTO t_quantiles (df, t975) VALUES (574, 1.964105441405911);
INSERT INTO t_quantiles (df, t975) VALUES (575, 1.9640982239526965);
INSERT INTO t_quantiles (df, t975) VALUES (576, 1.9640910316118783);
INSERT INTO t_quantiles (df, t975) VALUES (577, 1.9640838642526204);
INSERT INTO t_quantiles (df, t975) VALUES (578, 1.9640767217449941);
INSERT INTO t_quantiles (df, t975) VALUES (579, 1.9640696039599697);
INSERT INTO t_quantiles (df, t975) VALUES (580, 1.9640625107694094);
INSERT INTO t_quantiles (df, t975) VALUES (581, 1.9640554420460594);
INSERT INTO t_quantiles (df, t975) VALUES (582, 1.9640483976635417);
INSERT INTO t_quantiles (df, t975) VALUES (583, 1.9640413774963483);
INSERT INTO t_quantiles (df, t975) VALUES (584, 1.9640343814198313);
INSERT INTO t_quantiles (df, t975) VALUES (585, 1.964027409310198);
INSERT INTO t_quantiles (df, t975) VALUES (586, 1.9640204610445018);
INSERT INTO t_quantiles (df, t975) VALUES (587, 1.964013536500636);
INSERT INTO t_quantiles (df, t975) VALUES (588, 1.9640066355573251);
INSERT INTO t_quantiles (df, t975) VALUES (589, 1.9639997580941209);
INSERT INTO t_quantiles (df, t975) VALUES (590, 1.9639929039913906);
INSERT INTO t_quantiles (df, t975) VALUES (591, 1.963986073130316);
INSERT INTO t_quantiles (df, t975) VALUES (592, 1.9639792653928807);
INSERT INTO t_quantiles (df, t975) VALUES (593, 1.963972480661868);
INSERT INTO t_quantiles (df, t975) VALUES (594, 1.9639657188208495);
INSERT INTO t_quantiles (df, t975) VALUES (595, 1.963958979754184);
INSERT INTO t_quantiles (df, t975) VALUES (596, 1.9639522633470061);
INSERT INTO t_quantiles (df, t975) VALUES (597, 1.9639455694852226);
INSERT INTO t_quantiles (df, t975) VALUES (598, 1.963938898055503);
INSERT INTO t_quantiles (df, t975) VALUES (599, 1.9639322489452784);
INSERT INTO t_quantiles (df, t975) VALUES (600, 1.9639256220427292);
INSERT INTO t_quantiles (df, t975) VALUES (601, 1.9639190172367817);
INSERT INTO t_quantiles (df, t975) VALUES (602, 1.963912434417104);
INSERT INTO t_quantiles (df, t975) VALUES (603, 1.9639058734740937);
INSERT INTO t_quantiles (df, t975) VALUES (604, 1.9638993342988795);
INSERT INTO t_quantiles (df, t975) VALUES (605, 1.9638928167833087);
INSERT INTO t_quantiles (df, t975) VALUES (606, 1.9638863208199449);
INSERT INTO t_quantiles (df, t975) VALUES (607, 1.9638798463020615);
INSERT INTO t_quantiles (df, t975) VALUES (608, 1.9638733931236343);
INSERT INTO t_quantiles (df, t975) VALUES (609, 1.9638669611793376);
INSERT INTO t_quantiles (df, t975) VALUES (610, 1.9638605503645372);
INSERT INTO t_quantiles (df, t975) VALUES (611, 1.9638541605752866);
INSERT INTO t_quantiles (df, t975) VALUES (612, 1.9638477917083186);
INSERT INTO t_quantiles (df, t975) VALUES (613, 1.963841443661041);
INSERT INTO t_quantiles (df, t975) VALUES (614, 1.9638351163315322);
INSERT INTO t_quantiles (df, t975) VALUES (615, 1.9638288096185341);
INSERT INTO t_quantiles (df, t975) VALUES (616, 1.963822523421448);
INSERT INTO t_quantiles (df, t975) VALUES (617, 1.9638162576403282);
INSERT INTO t_quantiles (df, t975) VALUES (618, 1.9638100121758777);
INSERT INTO t_quantiles (df, t975) VALUES (619, 1.963803786929441);
INSERT INTO t_quantiles (df, t975) VALUES (620, 1.9637975818030016);
INSERT INTO t_quantiles (df, t975) VALUES (621, 1.9637913966991758);
INSERT INTO t_quantiles (df, t975) VALUES (622, 1.9637852315212063);
INSERT INTO t_quantiles (df, t975) VALUES (623, 1.9637790861729585);
INSERT INTO t_quantiles (df, t975) VALUES (624, 1.9637729605589154);
INSERT INTO t_quantiles (df, t975) VALUES (625, 1.9637668545841729);
INSERT INTO t_quantiles (df, t975) VALUES (626, 1.9637607681544342);
INSERT INTO t_quantiles (df, t975) VALUES (627, 1.963754701176004);
INSERT INTO t_quantiles (df, t975) VALUES (628, 1.9637486535557869);
INSERT INTO t_quantiles (df, t975) VALUES (629, 1.9637426252012802);
INSERT INTO t_quantiles (df, t975) VALUES (630, 1.9637366160205678);
INSERT INTO t_quantiles (df, t975) VALUES (631, 1.9637306259223188);
INSERT INTO t_quantiles (df, t975) VALUES (632, 1.963724654815783);
INSERT INTO t_quantiles (df, t975) VALUES (633, 1.9637187026107814);
INSERT INTO t_quantiles (df, t975) VALUES (634, 1.9637127692177077);
INSERT INTO t_quantiles (df, t975) VALUES (635, 1.9637068545475196);
INSERT INTO t_quantiles (df, t975) VALUES (636, 1.9637009585117366);
INSERT INTO t_quantiles (df, t975) VALUES (637, 1.963695081022434);
INSERT INTO t_quantiles (df, t975) VALUES (638, 1.9636892219922413);
INSERT INTO t_quantiles (df, t975) VALUES (639, 1.9636833813343333);
INSERT INTO t_quantiles (df, t975) VALUES (640, 1.96367755896243);
INSERT INTO t_quantiles (df, t975) VALUES (641, 1.9636717547907923);
INSERT INTO t_quantiles (df, t975) VALUES (642, 1.963665968734212);
INSERT INTO t_quantiles (df, t975) VALUES (643, 1.9636602007080162);
INSERT INTO t_quantiles (df, t975) VALUES (644, 1.9636544506280569);
INSERT INTO t_quantiles (df, t975) VALUES (645, 1.9636487184107096);
INSERT INTO t_quantiles (df, t975) VALUES (646, 1.9636430039728672);
INSERT INTO t_quantiles (df, t975) VALUES (647, 1.963637307231939);
INSERT INTO t_quantiles (df, t975) VALUES (648, 1.9636316281058446);
INSERT INTO t_quantiles (df, t975) VALUES (649, 1.9636259665130102);
INSERT INTO t_quantiles (df, t975) VALUES (650, 1.9636203223723638);
INSERT INTO t_quantiles (df, t975) VALUES (651, 1.9636146956033353);
INSERT INTO t_quantiles (df, t975) VALUES (652, 1.9636090861258473);
INSERT INTO t_quantiles (df, t975) VALUES (653, 1.9636034938603142);
INSERT INTO t_quantiles (df, t975) VALUES (654, 1.9635979187276384);
INSERT INTO t_quantiles (df, t975) VALUES (655, 1.963592360649207);
INSERT INTO t_quantiles (df, t975) VALUES (656, 1.963586819546886);
INSERT INTO t_quantiles (df, t975) VALUES (657, 1.9635812953430187);
INSERT INTO t_quantiles (df, t975) VALUES (658, 1.9635757879604214);
INSERT INTO t_quantiles (df, t975) VALUES (659, 1.9635702973223796);
INSERT INTO t_quantiles (df, t975) VALUES (660, 1.963564823352643);
INSERT INTO t_quantiles (df, t975) VALUES (661, 1.9635593659754267);
INSERT INTO t_quantiles (df, t975) VALUES (662, 1.9635539251154022);
INSERT INTO t_quantiles (df, t975) VALUES (663, 1.9635485006976976);
INSERT INTO t_quantiles (df, t975) VALUES (664, 1.963543092647891);
INSERT INTO t_quantiles (df, t975) VALUES (665, 1.963537700892011);
INSERT INTO t_quantiles (df, t975) VALUES (666, 1.9635323253565296);
INSERT INTO t_quantiles (df, t975) VALUES (667, 1.9635269659683627);
INSERT INTO t_quantiles (df, t975) VALUES (668, 1.963521622654862);
INSERT INTO t_quantiles (df, t975) VALUES (669, 1.9635162953438159);
INSERT INTO t_quantiles (df, t975) VALUES (670, 1.9635109839634446);
INSERT INTO t_quantiles (df, t975) VALUES (671, 1.9635056884423971);
INSERT INTO t_quantiles (df, t975) VALUES (672, 1.9635004087097463);
INSERT INTO t_quantiles (df, t975) VALUES (673, 1.9634951446949895);
INSERT INTO t_quantiles (df, t975) VALUES (674, 1.9634898963280425);
INSERT INTO t_quantiles (df, t975) VALUES (675, 1.9634846635392358);
INSERT INTO t_quantiles (df, t975) VALUES (676, 1.9634794462593146);
INSERT INTO t_quantiles (df, t975) VALUES (677, 1.963474244419434);
INSERT INTO t_quantiles (df, t975) VALUES (678, 1.9634690579511542);
INSERT INTO t_quantiles (df, t975) VALUES (679, 1.9634638867864407);
INSERT INTO t_quantiles (df, t975) VALUES (680, 1.9634587308576599);
INSERT INTO t_quantiles (df, t975) VALUES (681, 1.9634535900975763);
INSERT INTO t_quantiles (df, t975) VALUES (682, 1.963448464439348);
INSERT INTO t_quantiles (df, t975) VALUES (683, 1.9634433538165268);
INSERT INTO t_quantiles (df, t975) VALUES (684, 1.9634382581630534);
INSERT INTO t_quantiles (df, t975) VALUES (685, 1.9634331774132547);
INSERT INTO t_quantiles (df, t975) VALUES (686, 1.9634281115018406);
INSERT INTO t_quantiles (df, t975) VALUES (687, 1.9634230603639027);
INSERT INTO t_quantiles (df, t975) VALUES (688, 1.963418023934911);
INSERT INTO t_quantiles (df, t975) VALUES (689, 1.9634130021507097);
INSERT INTO t_quantiles (df, t975) VALUES (690, 1.9634079949475158);
INSERT INTO t_quantiles (df, t975) VALUES (691, 1.9634030022619164);
INSERT INTO t_quantiles (df, t975) VALUES (692, 1.9633980240308662);
INSERT INTO t_quantiles (df, t975) VALUES (693, 1.9633930601916834);
INSERT INTO t_quantiles (df, t975) VALUES (694, 1.9633881106820492);
INSERT INTO t_quantiles (df, t975) VALUES (695, 1.9633831754400026);
INSERT INTO t_quantiles (df, t975) VALUES (696, 1.9633782544039409);
INSERT INTO t_quantiles (df, t975) VALUES (697, 1.9633733475126156);
INSERT INTO t_quantiles (df, t975) VALUES (698, 1.9633684547051278);
INSERT INTO t_quantiles (df, t975) VALUES (699, 1.9633635759209296);
INSERT INTO t_quantiles (df, t975) VALUES (700, 1.9633587110998183);
INSERT INTO t_quantiles (df, t975) VALUES (701, 1.9633538601819371);
INSERT INTO t_quantiles (df, t975) VALUES (702, 1.9633490231077697);
INSERT INTO t_quantiles (df, t975) VALUES (703, 1.963344199818138);
INSERT INTO t_quantiles (df, t975) VALUES (704, 1.9633393902542025);
INSERT INTO t_quantiles (df, t975) VALUES (705, 1.9633345943574576);
INSERT INTO t_quantiles (df, t975) VALUES (706, 1.9633298120697296);
INSERT INTO t_quantiles (df, t975) VALUES (707, 1.9633250433331735);
INSERT INTO t_quantiles (df, t975) VALUES (708, 1.963320288090274);
INSERT INTO t_quantiles (df, t975) VALUES (709, 1.9633155462838376);
INSERT INTO t_quantiles (df, t975) VALUES (710, 1.9633108178569976);
INSERT INTO t_quantiles (df, t975) VALUES (711, 1.9633061027532035);
INSERT INTO t_quantiles (df, t975) VALUES (712, 1.963301400916226);
INSERT INTO t_quantiles (df, t975) VALUES (713, 1.963296712290151);
INSERT INTO t_quantiles (df, t975) VALUES (714, 1.963292036819378);
INSERT INTO t_quantiles (df, t975) VALUES (715, 1.9632873744486172);
INSERT INTO t_quantiles (df, t975) VALUES (716, 1.9632827251228897);
INSERT INTO t_quantiles (df, t975) VALUES (717, 1.963278088787524);
INSERT INTO t_quantiles (df, t975) VALUES (718, 1.963273465388151);
INSERT INTO t_quantiles (df, t975) VALUES (719, 1.9632688548707087);
INSERT INTO t_quantiles (df, t975) VALUES (720, 1.9632642571814312);
INSERT INTO t_quantiles (df, t975) VALUES (721, 1.9632596722668558);
INSERT INTO t_quantiles (df, t975) VALUES (722, 1.9632551000738139);
INSERT INTO t_quantiles (df, t975) VALUES (723, 1.9632505405494318);
INSERT INTO t_quantiles (df, t975) VALUES (724, 1.9632459936411293);
INSERT INTO t_quantiles (df, t975) VALUES (725, 1.9632414592966163);
INSERT INTO t_quantiles (df, t975) VALUES (726, 1.963236937463891);
INSERT INTO t_quantiles (df, t975) VALUES (727, 1.963232428091238);
INSERT INTO t_quantiles (df, t975) VALUES (728, 1.9632279311272274);
INSERT INTO t_quantiles (df, t975) VALUES (729, 1.9632234465207117);
INSERT INTO t_quantiles (df, t975) VALUES (730, 1.963218974220824);
INSERT INTO t_quantiles (df, t975) VALUES (731, 1.9632145141769752);
INSERT INTO t_quantiles (df, t975) VALUES (732, 1.9632100663388543);
INSERT INTO t_quantiles (df, t975) VALUES (733, 1.9632056306564258);
INSERT INTO t_quantiles (df, t975) VALUES (734, 1.9632012070799254);
INSERT INTO t_quantiles (df, t975) VALUES (735, 1.9631967955598622);
INSERT INTO t_quantiles (df, t975) VALUES (736, 1.9631923960470126);
INSERT INTO t_quantiles (df, t975) VALUES (737, 1.9631880084924223);
INSERT INTO t_quantiles (df, t975) VALUES (738, 1.9631836328474024);
INSERT INTO t_quantiles (df, t975) VALUES (739, 1.9631792690635264);
INSERT INTO t_quantiles (df, t975) VALUES (740, 1.9631749170926327);
INSERT INTO t_quantiles (df, t975) VALUES (741, 1.963170576886818);
INSERT INTO t_quantiles (df, t975) VALUES (742, 1.9631662483984382);
INSERT INTO t_quantiles (df, t975) VALUES (743, 1.9631619315801068);
INSERT INTO t_quantiles (df, t975) VALUES (744, 1.963157626384691);
INSERT INTO t_quantiles (df, t975) VALUES (745, 1.963153332765313);
INSERT INTO t_quantiles (df, t975) VALUES (746, 1.9631490506753466);
INSERT INTO t_quantiles (df, t975) VALUES (747, 1.963144780068414);
INSERT INTO t_quantiles (df, t975) VALUES (748, 1.9631405208983874);
INSERT INTO t_quantiles (df, t975) VALUES (749, 1.963136273119386);
INSERT INTO t_quantiles (df, t975) VALUES (750, 1.9631320366857727);
INSERT INTO t_quantiles (df, t975) VALUES (751, 1.9631278115521549);
INSERT INTO t_quantiles (df, t975) VALUES (752, 1.9631235976733812);
INSERT INTO t_quantiles (df, t975) VALUES (753, 1.9631193950045407);
INSERT INTO t_quantiles (df, t975) VALUES (754, 1.963115203500962);
INSERT INTO t_quantiles (df, t975) VALUES (755, 1.9631110231182087);
INSERT INTO t_quantiles (df, t975) VALUES (756, 1.9631068538120822);
INSERT INTO t_quantiles (df, t975) VALUES (757, 1.9631026955386155);
INSERT INTO t_quantiles (df, t975) VALUES (758, 1.9630985482540761);
INSERT INTO t_quantiles (df, t975) VALUES (759, 1.9630944119149616);
INSERT INTO t_quantiles (df, t975) VALUES (760, 1.963090286477998);
INSERT INTO t_quantiles (df, t975) VALUES (761, 1.9630861719001398);
INSERT INTO t_quantiles (df, t975) VALUES (762, 1.9630820681385683);
INSERT INTO t_quantiles (df, t975) VALUES (763, 1.9630779751506893);
INSERT INTO t_quantiles (df, t975) VALUES (764, 1.9630738928941311);
INSERT INTO t_quantiles (df, t975) VALUES (765, 1.963069821326746);
INSERT INTO t_quantiles (df, t975) VALUES (766, 1.9630657604066042);
INSERT INTO t_quantiles (df, t975) VALUES (767, 1.963061710091996);
INSERT INTO t_quantiles (df, t975) VALUES (768, 1.96305767034143);
INSERT INTO t_quantiles (df, t975) VALUES (769, 1.96305364111363);
INSERT INTO t_quantiles (df, t975) VALUES (770, 1.9630496223675349);
INSERT INTO t_quantiles (df, t975) VALUES (771, 1.9630456140622972);
INSERT INTO t_quantiles (df, t975) VALUES (772, 1.96304161615728);
INSERT INTO t_quantiles (df, t975) VALUES (773, 1.9630376286120599);
INSERT INTO t_quantiles (df, t975) VALUES (774, 1.9630336513864193);
INSERT INTO t_quantiles (df, t975) VALUES (775, 1.963029684440351);
INSERT INTO t_quantiles (df, t975) VALUES (776, 1.9630257277340528);
INSERT INTO t_quantiles (df, t975) VALUES (777, 1.9630217812279285);
INSERT INTO t_quantiles (df, t975) VALUES (778, 1.9630178448825861);
INSERT INTO t_quantiles (df, t975) VALUES (779, 1.963013918658836);
INSERT INTO t_quantiles (df, t975) VALUES (780, 1.9630100025176889);
INSERT INTO t_quantiles (df, t975) VALUES (781, 1.9630060964203562);
INSERT INTO t_quantiles (df, t975) VALUES (782, 1.9630022003282486);
INSERT INTO t_quantiles (df, t975) VALUES (783, 1.9629983142029732);
INSERT INTO t_quantiles (df, t975) VALUES (784, 1.9629944380063338);
INSERT INTO t_quantiles (df, t975) VALUES (785, 1.9629905717003286);
INSERT INTO t_quantiles (df, t975) VALUES (786, 1.9629867152471514);
INSERT INTO t_quantiles (df, t975) VALUES (787, 1.9629828686091857);
INSERT INTO t_quantiles (df, t975) VALUES (788, 1.962979031749007);
INSERT INTO t_quantiles (df, t975) VALUES (789, 1.9629752046293831);
INSERT INTO t_quantiles (df, t975) VALUES (790, 1.9629713872132677);
INSERT INTO t_quantiles (df, t975) VALUES (791, 1.962967579463803);
INSERT INTO t_quantiles (df, t975) VALUES (792, 1.9629637813443193);
INSERT INTO t_quantiles (df, t975) VALUES (793, 1.9629599928183292);
INSERT INTO t_quantiles (df, t975) VALUES (794, 1.9629562138495313);
INSERT INTO t_quantiles (df, t975) VALUES (795, 1.9629524444018074);
INSERT INTO t_quantiles (df, t975) VALUES (796, 1.9629486844392197);
INSERT INTO t_quantiles (df, t975) VALUES (797, 1.9629449339260125);
INSERT INTO t_quantiles (df, t975) VALUES (798, 1.9629411928266078);
INSERT INTO t_quantiles (df, t975) VALUES (799, 1.9629374611056076);
INSERT INTO t_quantiles (df, t975) VALUES (800, 1.962933738727791);
INSERT INTO t_quantiles (df, t975) VALUES (801, 1.9629300256581121);
INSERT INTO t_quantiles (df, t975) VALUES (802, 1.962926321861701);
INSERT INTO t_quantiles (df, t975) VALUES (803, 1.9629226273038618);
INSERT INTO t_quantiles (df, t975) VALUES (804, 1.9629189419500712);
INSERT INTO t_quantiles (df, t975) VALUES (805, 1.9629152657659772);
INSERT INTO t_quantiles (df, t975) VALUES (806, 1.9629115987173995);
INSERT INTO t_quantiles (df, t975) VALUES (807, 1.9629079407703263);
INSERT INTO t_quantiles (df, t975) VALUES (808, 1.962904291890916);
INSERT INTO t_quantiles (df, t975) VALUES (809, 1.9629006520454932);
INSERT INTO t_quantiles (df, t975) VALUES (810, 1.9628970212005499);
INSERT INTO t_quantiles (df, t975) VALUES (811, 1.9628933993227435);
INSERT INTO t_quantiles (df, t975) VALUES (812, 1.9628897863788943);
INSERT INTO t_quantiles (df, t975) VALUES (813, 1.9628861823359887);
INSERT INTO t_quantiles (df, t975) VALUES (814, 1.962882587161174);
INSERT INTO t_quantiles (df, t975) VALUES (815, 1.9628790008217585);
INSERT INTO t_quantiles (df, t975) VALUES (816, 1.962875423285213);
INSERT INTO t_quantiles (df, t975) VALUES (817, 1.962871854519166);
INSERT INTO t_quantiles (df, t975) VALUES (818, 1.962868294491404);
INSERT INTO t_quantiles (df, t975) VALUES (819, 1.9628647431698745);
INSERT INTO t_quantiles (df, t975) VALUES (820, 1.9628612005226769);
INSERT INTO t_quantiles (df, t975) VALUES (821, 1.9628576665180697);
INSERT INTO t_quantiles (df, t975) VALUES (822, 1.9628541411244649);
INSERT INTO t_quantiles (df, t975) VALUES (823, 1.9628506243104278);
INSERT INTO t_quantiles (df, t975) VALUES (824, 1.9628471160446774);
INSERT INTO t_quantiles (df, t975) VALUES (825, 1.9628436162960843);
INSERT INTO t_quantiles (df, t975) VALUES (826, 1.9628401250336698);
INSERT INTO t_quantiles (df, t975) VALUES (827, 1.9628366422266053);
INSERT INTO t_quantiles (df, t975) VALUES (828, 1.9628331678442115);
INSERT INTO t_quantiles (df, t975) VALUES (829, 1.9628297018559577);
INSERT INTO t_quantiles (df, t975) VALUES (830, 1.9628262442314592);
INSERT INTO t_quantiles (df, t975) VALUES (831, 1.9628227949404795);
INSERT INTO t_quantiles (df, t975) VALUES (832, 1.9628193539529264);
INSERT INTO t_quantiles (df, t975) VALUES (833, 1.9628159212388534);
INSERT INTO t_quantiles (df, t975) VALUES (834, 1.962812496768457);
INSERT INTO t_quantiles (df, t975) VALUES (835, 1.962809080512077);
INSERT INTO t_quantiles (df, t975) VALUES (836, 1.9628056724401957);
INSERT INTO t_quantiles (df, t975) VALUES (837, 1.9628022725234355);
INSERT INTO t_quantiles (df, t975) VALUES (838, 1.96279888073256);
INSERT INTO t_quantiles (df, t975) VALUES (839, 1.9627954970384738);
INSERT INTO t_quantiles (df, t975) VALUES (840, 1.9627921214122177);
INSERT INTO t_quantiles (df, t975) VALUES (841, 1.9627887538249715);
INSERT INTO t_quantiles (df, t975) VALUES (842, 1.9627853942480522);
INSERT INTO t_quantiles (df, t975) VALUES (843, 1.9627820426529132);
INSERT INTO t_quantiles (df, t975) VALUES (844, 1.9627786990111438);
INSERT INTO t_quantiles (df, t975) VALUES (845, 1.962775363294467);
INSERT INTO t_quantiles (df, t975) VALUES (846, 1.9627720354747396);
INSERT INTO t_quantiles (df, t975) VALUES (847, 1.9627687155239522);
INSERT INTO t_quantiles (df, t975) VALUES (848, 1.9627654034142283);
INSERT INTO t_quantiles (df, t975) VALUES (849, 1.962762099117821);
INSERT INTO t_quantiles (df, t975) VALUES (850, 1.9627588026071165);
INSERT INTO t_quantiles (df, t975) VALUES (851, 1.9627555138546289);
INSERT INTO t_quantiles (df, t975) VALUES (852, 1.9627522328330027);
INSERT INTO t_quantiles (df, t975) VALUES (853, 1.9627489595150103);
INSERT INTO t_quantiles (df, t975) VALUES (854, 1.962745693873552);
INSERT INTO t_quantiles (df, t975) VALUES (855, 1.9627424358816554);
INSERT INTO t_quantiles (df, t975) VALUES (856, 1.9627391855124745);
INSERT INTO t_quantiles (df, t975) VALUES (857, 1.9627359427392872);
INSERT INTO t_quantiles (df, t975) VALUES (858, 1.962732707535498);
INSERT INTO t_quantiles (df, t975) VALUES (859, 1.9627294798746342);
INSERT INTO t_quantiles (df, t975) VALUES (860, 1.9627262597303474);
INSERT INTO t_quantiles (df, t975) VALUES (861, 1.9627230470764105);
INSERT INTO t_quantiles (df, t975) VALUES (862, 1.9627198418867202);
INSERT INTO t_quantiles (df, t975) VALUES (863, 1.962716644135292);
INSERT INTO t_quantiles (df, t975) VALUES (864, 1.9627134537962634);
INSERT INTO t_quantiles (df, t975) VALUES (865, 1.9627102708438913);
INSERT INTO t_quantiles (df, t975) VALUES (866, 1.9627070952525527);
INSERT INTO t_quantiles (df, t975) VALUES (867, 1.96270392699674);
INSERT INTO t_quantiles (df, t975) VALUES (868, 1.9627007660510665);
INSERT INTO t_quantiles (df, t975) VALUES (869, 1.9626976123902606);
INSERT INTO t_quantiles (df, t975) VALUES (870, 1.9626944659891685);
INSERT INTO t_quantiles (df, t975) VALUES (871, 1.9626913268227508);
INSERT INTO t_quantiles (df, t975) VALUES (872, 1.9626881948660837);
INSERT INTO t_quantiles (df, t975) VALUES (873, 1.9626850700943577);
INSERT INTO t_quantiles (df, t975) VALUES (874, 1.962681952482877);
INSERT INTO t_quantiles (df, t975) VALUES (875, 1.9626788420070582);
INSERT INTO t_quantiles (df, t975) VALUES (876, 1.9626757386424318);
INSERT INTO t_quantiles (df, t975) VALUES (877, 1.9626726423646386);
INSERT INTO t_quantiles (df, t975) VALUES (878, 1.9626695531494314);
INSERT INTO t_quantiles (df, t975) VALUES (879, 1.962666470972673);
INSERT INTO t_quantiles (df, t975) VALUES (880, 1.9626633958103363);
INSERT INTO t_quantiles (df, t975) VALUES (881, 1.9626603276385035);
INSERT INTO t_quantiles (df, t975) VALUES (882, 1.9626572664333655);
INSERT INTO t_quantiles (df, t975) VALUES (883, 1.9626542121712196);
INSERT INTO t_quantiles (df, t975) VALUES (884, 1.9626511648284735);
INSERT INTO t_quantiles (df, t975) VALUES (885, 1.9626481243816394);
INSERT INTO t_quantiles (df, t975) VALUES (886, 1.9626450908073374);
INSERT INTO t_quantiles (df, t975) VALUES (887, 1.9626420640822904);
INSERT INTO t_quantiles (df, t975) VALUES (888, 1.962639044183329);
INSERT INTO t_quantiles (df, t975) VALUES (889, 1.9626360310873872);
INSERT INTO t_quantiles (df, t975) VALUES (890, 1.9626330247715025);
INSERT INTO t_quantiles (df, t975) VALUES (891, 1.962630025212816);
INSERT INTO t_quantiles (df, t975) VALUES (892, 1.962627032388572);
INSERT INTO t_quantiles (df, t975) VALUES (893, 1.9626240462761153);
INSERT INTO t_quantiles (df, t975) VALUES (894, 1.9626210668528936);
INSERT INTO t_quantiles (df, t975) VALUES (895, 1.9626180940964548);
INSERT INTO t_quantiles (df, t975) VALUES (896, 1.9626151279844481);
INSERT INTO t_quantiles (df, t975) VALUES (897, 1.9626121684946218);
INSERT INTO t_quantiles (df, t975) VALUES (898, 1.9626092156048227);
INSERT INTO t_quantiles (df, t975) VALUES (899, 1.9626062692929975);
INSERT INTO t_quantiles (df, t975) VALUES (900, 1.9626033295371905);
INSERT INTO t_quantiles (df, t975) VALUES (901, 1.9626003963155443);
INSERT INTO t_quantiles (df, t975) VALUES (902, 1.9625974696062976);
INSERT INTO t_quantiles (df, t975) VALUES (903, 1.9625945493877857);
INSERT INTO t_quantiles (df, t975) VALUES (904, 1.9625916356384399);
INSERT INTO t_quantiles (df, t975) VALUES (905, 1.9625887283367889);
INSERT INTO t_quantiles (df, t975) VALUES (906, 1.9625858274614532);
INSERT INTO t_quantiles (df, t975) VALUES (907, 1.9625829329911495);
INSERT INTO t_quantiles (df, t975) VALUES (908, 1.9625800449046888);
INSERT INTO t_quantiles (df, t975) VALUES (909, 1.9625771631809732);
INSERT INTO t_quantiles (df, t975) VALUES (910, 1.9625742877990007);
INSERT INTO t_quantiles (df, t975) VALUES (911, 1.9625714187378593);
INSERT INTO t_quantiles (df, t975) VALUES (912, 1.96256855597673);
INSERT INTO t_quantiles (df, t975) VALUES (913, 1.962565699494885);
INSERT INTO t_quantiles (df, t975) VALUES (914, 1.9625628492716862);
INSERT INTO t_quantiles (df, t975) VALUES (915, 1.9625600052865875);
INSERT INTO t_quantiles (df, t975) VALUES (916, 1.9625571675191322);
INSERT INTO t_quantiles (df, t975) VALUES (917, 1.962554335948952);
INSERT INTO t_quantiles (df, t975) VALUES (918, 1.9625515105557685);
INSERT INTO t_quantiles (df, t975) VALUES (919, 1.9625486913193906);
INSERT INTO t_quantiles (df, t975) VALUES (920, 1.962545878219717);
INSERT INTO t_quantiles (df, t975) VALUES (921, 1.9625430712367316);
INSERT INTO t_quantiles (df, t975) VALUES (922, 1.9625402703505066);
INSERT INTO t_quantiles (df, t975) VALUES (923, 1.9625374755412006);
INSERT INTO t_quantiles (df, t975) VALUES (924, 1.9625346867890576);
INSERT INTO t_quantiles (df, t975) VALUES (925, 1.9625319040744076);
INSERT INTO t_quantiles (df, t975) VALUES (926, 1.9625291273776653);
INSERT INTO t_quantiles (df, t975) VALUES (927, 1.9625263566793303);
INSERT INTO t_quantiles (df, t975) VALUES (928, 1.962523591959987);
INSERT INTO t_quantiles (df, t975) VALUES (929, 1.9625208332003026);
INSERT INTO t_quantiles (df, t975) VALUES (930, 1.962518080381027);
INSERT INTO t_quantiles (df, t975) VALUES (931, 1.9625153334829943);
INSERT INTO t_quantiles (df, t975) VALUES (932, 1.9625125924871205);
INSERT INTO t_quantiles (df, t975) VALUES (933, 1.9625098573744033);
INSERT INTO t_quantiles (df, t975) VALUES (934, 1.9625071281259217);
INSERT INTO t_quantiles (df, t975) VALUES (935, 1.9625044047228362);
INSERT INTO t_quantiles (df, t975) VALUES (936, 1.9625016871463883);
INSERT INTO t_quantiles (df, t975) VALUES (937, 1.962498975377898);
INSERT INTO t_quantiles (df, t975) VALUES (938, 1.9624962693987669);
INSERT INTO t_quantiles (df, t975) VALUES (939, 1.9624935691904755);
INSERT INTO t_quantiles (df, t975) VALUES (940, 1.9624908747345826);
INSERT INTO t_quantiles (df, t975) VALUES (941, 1.9624881860127248);
INSERT INTO t_quantiles (df, t975) VALUES (942, 1.962485503006619);
INSERT INTO t_quantiles (df, t975) VALUES (943, 1.9624828256980587);
INSERT INTO t_quantiles (df, t975) VALUES (944, 1.9624801540689136);
INSERT INTO t_quantiles (df, t975) VALUES (945, 1.962477488101132);
INSERT INTO t_quantiles (df, t975) VALUES (946, 1.9624748277767368);
INSERT INTO t_quantiles (df, t975) VALUES (947, 1.9624721730778276);
INSERT INTO t_quantiles (df, t975) VALUES (948, 1.9624695239865817);
INSERT INTO t_quantiles (df, t975) VALUES (949, 1.9624668804852483);
INSERT INTO t_quantiles (df, t975) VALUES (950, 1.9624642425561534);
INSERT INTO t_quantiles (df, t975) VALUES (951, 1.9624616101816967);
INSERT INTO t_quantiles (df, t975) VALUES (952, 1.9624589833443524);
INSERT INTO t_quantiles (df, t975) VALUES (953, 1.962456362026668);
INSERT INTO t_quantiles (df, t975) VALUES (954, 1.9624537462112648);
INSERT INTO t_quantiles (df, t975) VALUES (955, 1.962451135880836);
INSERT INTO t_quantiles (df, t975) VALUES (956, 1.9624485310181488);
INSERT INTO t_quantiles (df, t975) VALUES (957, 1.962445931606041);
INSERT INTO t_quantiles (df, t975) VALUES (958, 1.9624433376274228);
INSERT INTO t_quantiles (df, t975) VALUES (959, 1.962440749065276);
INSERT INTO t_quantiles (df, t975) VALUES (960, 1.9624381659026529);
INSERT INTO t_quantiles (df, t975) VALUES (961, 1.9624355881226774);
INSERT INTO t_quantiles (df, t975) VALUES (962, 1.9624330157085412);
INSERT INTO t_quantiles (df, t975) VALUES (963, 1.9624304486435098);
INSERT INTO t_quantiles (df, t975) VALUES (964, 1.962427886910914);
INSERT INTO t_quantiles (df, t975) VALUES (965, 1.962425330494158);
INSERT INTO t_quantiles (df, t975) VALUES (966, 1.9624227793767108);
INSERT INTO t_quantiles (df, t975) VALUES (967, 1.9624202335421124);
INSERT INTO t_quantiles (df, t975) VALUES (968, 1.962417692973971);
INSERT INTO t_quantiles (df, t975) VALUES (969, 1.96241515765596);
INSERT INTO t_quantiles (df, t975) VALUES (970, 1.9624126275718232);
INSERT INTO t_quantiles (df, t975) VALUES (971, 1.9624101027053706);
INSERT INTO t_quantiles (df, t975) VALUES (972, 1.9624075830404777);
INSERT INTO t_quantiles (df, t975) VALUES (973, 1.9624050685610865);
INSERT INTO t_quantiles (df, t975) VALUES (974, 1.9624025592512073);
INSERT INTO t_quantiles (df, t975) VALUES (975, 1.9624000550949143);
INSERT INTO t_quantiles (df, t975) VALUES (976, 1.962397556076346);
INSERT INTO t_quantiles (df, t975) VALUES (977, 1.9623950621797082);
INSERT INTO t_quantiles (df, t975) VALUES (978, 1.96239257338927);
INSERT INTO t_quantiles (df, t975) VALUES (979, 1.9623900896893653);
INSERT INTO t_quantiles (df, t975) VALUES (980, 1.9623876110643916);
INSERT INTO t_quantiles (df, t975) VALUES (981, 1.9623851374988106);
INSERT INTO t_quantiles (df, t975) VALUES (982, 1.962382668977148);
INSERT INTO t_quantiles (df, t975) VALUES (983, 1.9623802054839907);
INSERT INTO t_quantiles (df, t975) VALUES (984, 1.9623777470039894);
INSERT INTO t_quantiles (df, t975) VALUES (985, 1.9623752935218572);
INSERT INTO t_quantiles (df, t975) VALUES (986, 1.9623728450223699);
INSERT INTO t_quantiles (df, t975) VALUES (987, 1.9623704014903633);
INSERT INTO t_quantiles (df, t975) VALUES (988, 1.962367962910737);
INSERT INTO t_quantiles (df, t975) VALUES (989, 1.9623655292684499);
INSERT INTO t_quantiles (df, t975) VALUES (990, 1.9623631005485225);
INSERT INTO t_quantiles (df, t975) VALUES (991, 1.962360676736036);
INSERT INTO t_quantiles (df, t975) VALUES (992, 1.9623582578161305);
INSERT INTO t_quantiles (df, t975) VALUES (993, 1.9623558437740087);
INSERT INTO t_quantiles (df, t975) VALUES (994, 1.9623534345949296);
INSERT INTO t_quantiles (df, t975) VALUES (995, 1.9623510302642142);
INSERT INTO t_quantiles (df, t975) VALUES (996, 1.9623486307672424);
INSERT INTO t_quantiles (df, t975) VALUES (997, 1.9623462360894495);
INSERT INTO t_quantiles (df, t975) VALUES (998, 1.9623438462163343);
INSERT INTO t_quantiles (df, t975) VALUES (999, 1.9623414611334493);
INSERT INTO upgrades (revision, fitfleet, upgraded_at) VALUES ('0033', '0.1.0', 1795847449.164814);
INSERT INTO worker_slots (id, service, host, pid, slot, queue, device, started_at, heartbeat_at, is_draining, versions, name, version, labels, route) VALUES ('host:1:0', 'fleet@host', 'host', 1, 0, 'cpu', 'cpu', 1795847449.424286, 1795847449.424286, false, '{"fitfleet": "0.1.0"}', 'host/cpu0', 1000, '{}', '');
INSERT INTO jobs (id, experiment_id, content_hash, group_hash, rerun, params, seed, queue, priority, status, dispatch_seq, not_before, submitted_at, attempt, seconds, epochs, epoch, failures, max_failures, memory_step, parameters, min_version, requirement_id) VALUES (2, 1, 'b', 'g', 0, '{}', 0, 'cpu', 0, 'QUEUED', 0, 0.0, 1795847449.660353, 0, 0.0, 5, 0, 0, 3, 0, 10, 1000, 0);
INSERT INTO jobs (id, experiment_id, content_hash, group_hash, rerun, params, seed, queue, priority, status, dispatch_seq, dispatched_at, not_before, submitted_at, attempt, progress_at, started_at, finished_at, seconds, epochs, epoch, failures, max_failures, memory_step, artifact_path, artifact_sha256, artifact_bytes, parameters, kept_epoch, min_version, requirement_id) VALUES (1, 1, 'a', 'g', 0, '{"units": 16}', 0, 'cpu', 0, 'SUCCEEDED', 1, 1795847450.063558, 0.0, 1795847449.660353, 1, 1795847450.340802, 1795847450.093672, 1795847450.340815, 1.5, 5, 2, 0, 3, 0, 'digits/1/attempt-1.weights.h5', '0000000000000000000000000000000000000000000000000000000000000000', 1000, 10, 2, 1000, 0);
INSERT INTO attempts (job_id, attempt, worker, started_at, ended_at, outcome, seconds) VALUES (1, 1, 'host:1:0', 1795847450.093671, 1795847450.395023, 'succeeded', 1.5);
INSERT INTO job_specs (job_id, spec, options, spec_id, options_id) VALUES (1, '', '', 1, 3);
INSERT INTO job_specs (job_id, spec, options, spec_id, options_id) VALUES (2, '', '', 2, 3);
INSERT INTO metrics (job_id, epoch, metric, phase, value) VALUES (1, 1, 'loss', 'train', 2.0);
INSERT INTO metrics (job_id, epoch, metric, phase, value) VALUES (1, 2, 'loss', 'train', 1.0);
INSERT INTO scores (job_id, name, value, source) VALUES (1, 'test_loss', 0.5, 'keras');
CREATE VIEW audit AS SELECT id AS audit_id,
    to_char((to_timestamp(at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS at,
    user_name,
    token_id,
    action,
    target,
    detail
   FROM audit_log a;
CREATE VIEW backlog AS SELECT queue,
    sum(is_ready) AS ready,
    sum(((1 - is_ready) - is_in_flight)) AS held,
    sum(is_in_flight) AS in_flight
   FROM ( SELECT j.queue,
                CASE
                    WHEN (((j.status)::text = 'QUEUED'::text) AND (NOT e.is_paused) AND (j.not_before <= (EXTRACT(epoch FROM clock_timestamp()))::double precision)) THEN 1
                    ELSE 0
                END AS is_ready,
                CASE
                    WHEN ((j.status)::text = 'QUEUED'::text) THEN 0
                    ELSE 1
                END AS is_in_flight
           FROM (jobs j
             JOIN experiments e ON ((e.id = j.experiment_id)))
          WHERE ((j.status)::text = ANY ((ARRAY['QUEUED'::character varying, 'DISPATCHED'::character varying, 'RUNNING'::character varying])::text[]))) b
  GROUP BY queue;
CREATE VIEW curves AS SELECT m.job_id,
    e.name AS experiment,
    m.epoch,
    m.metric,
    m.phase,
    m.value
   FROM ((metrics m
     JOIN jobs j ON ((j.id = m.job_id)))
     JOIN experiments e ON (((e.id = j.experiment_id) AND (e.removing IS NULL))));
CREATE VIEW events AS SELECT v.id AS event_id,
    to_char((to_timestamp(v.at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS at,
    v.kind,
    v.job_id,
    v.attempt,
    v.worker,
    v.detail
   FROM ((job_events v
     LEFT JOIN jobs j ON ((j.id = v.job_id)))
     LEFT JOIN experiments e ON ((e.id = j.experiment_id)))
  WHERE (e.removing IS NULL);
CREATE VIEW groups AS SELECT g.experiment,
    g.group_hash,
    f.params,
    g.metric,
    g.phase,
    g.n,
    g.mean,
    g.std,
    (g.mean - ((t.t975 * g.std) / sqrt((g.n)::double precision))) AS low,
    (g.mean + ((t.t975 * g.std) / sqrt((g.n)::double precision))) AS high,
    g.minimum,
    g.maximum,
    g.seconds,
    g.epochs,
    g.diverged
   FROM ((( SELECT d.experiment,
            d.group_hash,
            d.epochs,
            d.metric,
            d.phase,
            d.n,
            d.mean,
            d.squares,
            d.minimum,
            d.maximum,
            d.seconds,
            d.first_job,
            d.diverged,
                CASE
                    WHEN (d.n > 1) THEN sqrt((d.squares / ((d.n - 1))::double precision))
                    ELSE NULL::double precision
                END AS std
           FROM ( SELECT v.experiment,
                    v.group_hash,
                    v.epochs,
                    v.metric,
                    v.phase,
                    count(v.value) AS n,
                    min(v.mean) AS mean,
                    sum(
                        CASE
                            WHEN (abs((v.value - v.mean)) > (0.000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001)::double precision) THEN ((v.value - v.mean) * (v.value - v.mean))
                            WHEN (v.value IS NOT NULL) THEN (0.0)::double precision
                            ELSE NULL::double precision
                        END) AS squares,
                    min(v.value) AS minimum,
                    max(v.value) AS maximum,
                    avg(
                        CASE
                            WHEN (v.value IS NOT NULL) THEN v.seconds
                            ELSE NULL::double precision
                        END) AS seconds,
                    min(v.job_id) AS first_job,
                    (count(*) - count(v.value)) AS diverged
                   FROM ( SELECT u.experiment,
                            u.group_hash,
                            u.epochs,
                            u.metric,
                            u.phase,
                            u.job_id,
                            u.seconds,
                            u.value,
                            u.run,
                            avg(u.value) OVER (PARTITION BY u.experiment, u.group_hash, u.epochs, u.metric, u.phase) AS mean
                           FROM ( SELECT f_1.experiment,
                                    f_1.group_hash,
                                    f_1.epochs,
                                    f_1.metric,
                                    f_1.phase,
                                    f_1.job_id,
                                    f_1.seconds,
CASE
 WHEN ((f_1.value >= ('-1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision) AND (f_1.value <= ('1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision)) THEN f_1.value
 ELSE NULL::double precision
END AS value,
                                    row_number() OVER (PARTITION BY f_1.experiment, f_1.content_hash, f_1.metric, f_1.phase ORDER BY f_1.job_id DESC) AS run
                                   FROM ( SELECT e.name AS experiment,
    j.id AS job_id,
    j.group_hash,
    j.seconds,
    j.epochs,
    j.content_hash,
    m.metric,
    m.phase,
    m.value
   FROM ((jobs j
     JOIN experiments e ON (((e.id = j.experiment_id) AND (e.removing IS NULL))))
     JOIN metrics m ON (((m.job_id = j.id) AND (m.epoch = COALESCE(j.kept_epoch, j.epoch)))))
  WHERE ((j.status)::text = 'SUCCEEDED'::text)
UNION ALL
 SELECT e.name AS experiment,
    j.id AS job_id,
    j.group_hash,
    j.seconds,
    j.epochs,
    j.content_hash,
  CASE
   WHEN (((s.source)::text = 'keras'::text) AND (substr((s.name)::text, 1, 5) = 'test_'::text)) THEN (substr((s.name)::text, 6))::character varying
   ELSE s.name
  END AS metric,
  CASE
   WHEN ((s.source)::text = 'keras'::text) THEN 'test'::text
   ELSE 'score'::text
  END AS phase,
    s.value
   FROM ((jobs j
     JOIN experiments e ON (((e.id = j.experiment_id) AND (e.removing IS NULL))))
     JOIN scores s ON ((s.job_id = j.id)))
  WHERE ((j.status)::text = 'SUCCEEDED'::text)) f_1) u
                          WHERE (u.run = 1)) v
                  GROUP BY v.experiment, v.group_hash, v.epochs, v.metric, v.phase
                 HAVING (count(v.value) > 0)) d) g
     JOIN jobs f ON ((f.id = g.first_job)))
     LEFT JOIN t_quantiles t ON ((t.df =
        CASE
            WHEN (g.n > 1000) THEN (999)::bigint
            ELSE (g.n - 1)
        END)));
CREATE VIEW imported_points AS SELECT s.name AS sweep,
    e.name AS experiment,
    i.number,
    i.source,
    i.trial AS source_trial,
    i.point AS params,
    i.objectives,
    i.left_out,
    i.unused
   FROM ((imported_trials i
     JOIN sweeps s ON ((s.id = i.sweep_id)))
     JOIN experiments e ON (((e.id = s.experiment_id) AND (e.removing IS NULL))));
CREATE VIEW leaderboard AS SELECT experiment,
    metric,
    phase,
    job_id,
    params,
    seed,
    value,
    rank() OVER (PARTITION BY experiment, metric, phase ORDER BY value) AS rank_low,
    rank() OVER (PARTITION BY experiment, metric, phase ORDER BY value DESC) AS rank_high,
    epoch
   FROM ( SELECT e.name AS experiment,
            j.id AS job_id,
            j.params,
            j.seed,
            COALESCE(j.kept_epoch, j.epoch) AS epoch,
            m.metric,
            m.phase,
            m.value
           FROM ((jobs j
             JOIN experiments e ON (((e.id = j.experiment_id) AND (e.removing IS NULL))))
             JOIN metrics m ON (((m.job_id = j.id) AND (m.epoch = COALESCE(j.kept_epoch, j.epoch)))))
          WHERE ((j.status)::text = 'SUCCEEDED'::text)
        UNION ALL
         SELECT e.name AS experiment,
            j.id AS job_id,
            j.params,
            j.seed,
            COALESCE(j.kept_epoch, j.epoch) AS epoch,
                CASE
                    WHEN (((s.source)::text = 'keras'::text) AND (substr((s.name)::text, 1, 5) = 'test_'::text)) THEN (substr((s.name)::text, 6))::character varying
                    ELSE s.name
                END AS metric,
                CASE
                    WHEN ((s.source)::text = 'keras'::text) THEN 'test'::text
                    ELSE 'score'::text
                END AS phase,
            s.value
           FROM ((jobs j
             JOIN experiments e ON (((e.id = j.experiment_id) AND (e.removing IS NULL))))
             JOIN scores s ON ((s.job_id = j.id)))
          WHERE ((j.status)::text = 'SUCCEEDED'::text)) f
  WHERE ((value >= ('-179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision) AND (value <= ('179769313486231570000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision));
CREATE VIEW lineage AS SELECT s.name AS sweep,
    e.name AS experiment,
    t.generation,
    t.member,
    t.number AS trial,
    tj.job_id,
    pj.job_id AS parent_job_id,
    p.member AS parent_member,
        CASE
            WHEN (p.member <> t.member) THEN 1
            ELSE 0
        END AS is_exploited,
    t.point AS params,
    t.changes
   FROM (((((trials t
     JOIN sweeps s ON ((s.id = t.sweep_id)))
     JOIN experiments e ON ((e.id = s.experiment_id)))
     LEFT JOIN trial_jobs tj ON (((tj.sweep_id = t.sweep_id) AND (tj.number = t.number) AND (tj.replicate = 0))))
     LEFT JOIN trials p ON (((p.sweep_id = t.sweep_id) AND (p.number = t.parent))))
     LEFT JOIN trial_jobs pj ON (((pj.sweep_id = t.sweep_id) AND (pj.number = t.parent) AND (pj.replicate = 0))))
  WHERE ((t.generation IS NOT NULL) AND (e.removing IS NULL));
CREATE VIEW memory AS SELECT architecture,
    batch_size,
    dtype,
    optimizer,
    engine,
    cohort,
    device,
    NULLIF(peak_bytes, 0) AS peak_bytes,
    framework_bytes,
    driver_bytes,
    NULLIF(bound_bytes, 0) AS bound_bytes,
    to_char((to_timestamp(measured_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS measured_at
   FROM memory_peaks m;
CREATE VIEW runs AS SELECT j.id AS job_id,
    e.name AS experiment,
    j.status,
    j.params,
    j.seed,
    j.fold,
    j.group_hash,
    j.queue,
    j.priority,
    j.epochs,
    j.epoch,
    j.attempt AS attempts,
    j.failures,
    j.seconds,
    to_char((to_timestamp(j.submitted_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS submitted_at,
    to_char((to_timestamp(j.started_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS started_at,
    to_char((to_timestamp(j.finished_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS finished_at,
    ( SELECT a.worker
           FROM attempts a
          WHERE ((a.job_id = j.id) AND (a.attempt = j.attempt))) AS worker,
    j.engine,
    j.engine_reason,
    j.failure_class,
    j.failure_message,
    j.parameters,
    ( SELECT m.value
           FROM metrics m
          WHERE ((m.job_id = j.id) AND (m.epoch =
                CASE
                    WHEN ((j.status)::text = 'SUCCEEDED'::text) THEN COALESCE(j.kept_epoch, j.epoch)
                    ELSE j.epoch
                END) AND ((m.metric)::text = 'loss'::text) AND ((m.phase)::text = 'train'::text))) AS loss,
    ( SELECT m.value
           FROM metrics m
          WHERE ((m.job_id = j.id) AND (m.epoch =
                CASE
                    WHEN ((j.status)::text = 'SUCCEEDED'::text) THEN COALESCE(j.kept_epoch, j.epoch)
                    ELSE j.epoch
                END) AND ((m.metric)::text = 'loss'::text) AND ((m.phase)::text = 'val'::text))) AS val_loss,
    ( SELECT min(m.value) AS min
           FROM metrics m
          WHERE ((m.job_id = j.id) AND ((m.metric)::text = 'loss'::text) AND ((m.phase)::text = 'val'::text))) AS best_val_loss,
    ( SELECT m.epoch
           FROM metrics m
          WHERE ((m.job_id = j.id) AND ((m.metric)::text = 'loss'::text) AND ((m.phase)::text = 'val'::text) AND (m.value IS NOT NULL))
          ORDER BY m.value, m.epoch
         LIMIT 1) AS best_epoch,
    ( SELECT s.value
           FROM scores s
          WHERE ((s.job_id = j.id) AND ((s.name)::text = 'test_loss'::text))) AS test_loss,
    j.checkpoint_path,
    j.artifact_path,
    j.artifact_bytes,
        CASE
            WHEN ((j.status)::text = 'SUCCEEDED'::text) THEN COALESCE(j.kept_epoch, j.epoch)
            ELSE NULL::integer
        END AS kept_epoch,
    ( SELECT m.value
           FROM metrics m
          WHERE ((m.job_id = j.id) AND (m.epoch = j.epoch) AND ((m.metric)::text = 'loss'::text) AND ((m.phase)::text = 'train'::text))) AS last_loss,
    ( SELECT m.value
           FROM metrics m
          WHERE ((m.job_id = j.id) AND (m.epoch = j.epoch) AND ((m.metric)::text = 'loss'::text) AND ((m.phase)::text = 'val'::text))) AS last_val_loss,
    j.nan_epoch,
    j.train_seconds,
    ( SELECT r.document
           FROM requirements r
          WHERE (r.id = j.requirement_id)) AS requires,
    j.stopped_by,
    e.user_name,
    COALESCE(( SELECT l.tags
           FROM job_labels l
          WHERE (l.job_id = j.id)), '[]'::text) AS tags,
    COALESCE(( SELECT l.note
           FROM job_labels l
          WHERE (l.job_id = j.id)), ''::text) AS note
   FROM (jobs j
     JOIN experiments e ON (((e.id = j.experiment_id) AND (e.removing IS NULL))));
CREATE VIEW shares AS SELECT 'user'::text AS kind,
    p.name,
    p.group_name,
    p.shares,
    p.slots,
    p.in_flight,
    p.max_running,
    p.gpu_hours,
    p.gpu_hours_used
   FROM ( SELECT n.name,
            COALESCE(u.group_name, 'default'::character varying) AS group_name,
            COALESCE(u.shares, (1.0)::double precision) AS shares,
            count(DISTINCT s.slot) AS slots,
            count(DISTINCT s.job_id) AS in_flight,
            u.max_running,
            u.gpu_hours,
            (COALESCE(u.gpu_seconds, (0.0)::double precision) / (3600.0)::double precision) AS gpu_hours_used
           FROM ((( SELECT f.name
                   FROM fleet_users f
                UNION
                 SELECT a.name
                   FROM ( SELECT COALESCE(e.user_name, 'default'::character varying) AS name,
                            COALESCE(j.owner, (j.id)::character varying) AS slot,
                            j.id AS job_id
                           FROM (jobs j
                             JOIN experiments e ON ((e.id = j.experiment_id)))
                          WHERE ((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[]))
                        UNION ALL
                         SELECT COALESCE(e.user_name, 'default'::character varying) AS "coalesce",
                            k.slot,
                            j.id
                           FROM ((gang_slots k
                             JOIN jobs j ON (((j.id = k.job_id) AND (j.dispatch_seq = k.dispatch_seq))))
                             JOIN experiments e ON ((e.id = j.experiment_id)))
                          WHERE (((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[])) AND (j.owner IS NOT NULL))) a) n
             LEFT JOIN fleet_users u ON (((u.name)::text = (n.name)::text)))
             LEFT JOIN ( SELECT COALESCE(e.user_name, 'default'::character varying) AS name,
                    COALESCE(j.owner, (j.id)::character varying) AS slot,
                    j.id AS job_id
                   FROM (jobs j
                     JOIN experiments e ON ((e.id = j.experiment_id)))
                  WHERE ((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[]))
                UNION ALL
                 SELECT COALESCE(e.user_name, 'default'::character varying) AS "coalesce",
                    k.slot,
                    j.id
                   FROM ((gang_slots k
                     JOIN jobs j ON (((j.id = k.job_id) AND (j.dispatch_seq = k.dispatch_seq))))
                     JOIN experiments e ON ((e.id = j.experiment_id)))
                  WHERE (((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[])) AND (j.owner IS NOT NULL))) s ON (((s.name)::text = (n.name)::text)))
          GROUP BY n.name, u.group_name, u.shares, u.max_running, u.gpu_hours, u.gpu_seconds) p
UNION ALL
 SELECT 'group'::text AS kind,
    g.name,
    g.name AS group_name,
    g.shares,
    (COALESCE(sum(p.slots), (0)::numeric))::integer AS slots,
    (COALESCE(sum(p.in_flight), (0)::numeric))::integer AS in_flight,
    g.max_running,
    g.gpu_hours,
    COALESCE(sum(p.gpu_hours_used), (0.0)::double precision) AS gpu_hours_used
   FROM (( SELECT f.name,
            f.shares,
            f.max_running,
            f.gpu_hours
           FROM fleet_groups f
        UNION ALL
         SELECT 'default'::character varying,
            1.0,
            NULL::integer,
            NULL::double precision
          WHERE (NOT (EXISTS ( SELECT 1
                   FROM fleet_groups d
                  WHERE ((d.name)::text = 'default'::text))))) g
     LEFT JOIN ( SELECT n.name,
            COALESCE(u.group_name, 'default'::character varying) AS group_name,
            COALESCE(u.shares, (1.0)::double precision) AS shares,
            count(DISTINCT s.slot) AS slots,
            count(DISTINCT s.job_id) AS in_flight,
            u.max_running,
            u.gpu_hours,
            (COALESCE(u.gpu_seconds, (0.0)::double precision) / (3600.0)::double precision) AS gpu_hours_used
           FROM ((( SELECT f.name
                   FROM fleet_users f
                UNION
                 SELECT a.name
                   FROM ( SELECT COALESCE(e.user_name, 'default'::character varying) AS name,
                            COALESCE(j.owner, (j.id)::character varying) AS slot,
                            j.id AS job_id
                           FROM (jobs j
                             JOIN experiments e ON ((e.id = j.experiment_id)))
                          WHERE ((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[]))
                        UNION ALL
                         SELECT COALESCE(e.user_name, 'default'::character varying) AS "coalesce",
                            k.slot,
                            j.id
                           FROM ((gang_slots k
                             JOIN jobs j ON (((j.id = k.job_id) AND (j.dispatch_seq = k.dispatch_seq))))
                             JOIN experiments e ON ((e.id = j.experiment_id)))
                          WHERE (((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[])) AND (j.owner IS NOT NULL))) a) n
             LEFT JOIN fleet_users u ON (((u.name)::text = (n.name)::text)))
             LEFT JOIN ( SELECT COALESCE(e.user_name, 'default'::character varying) AS name,
                    COALESCE(j.owner, (j.id)::character varying) AS slot,
                    j.id AS job_id
                   FROM (jobs j
                     JOIN experiments e ON ((e.id = j.experiment_id)))
                  WHERE ((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[]))
                UNION ALL
                 SELECT COALESCE(e.user_name, 'default'::character varying) AS "coalesce",
                    k.slot,
                    j.id
                   FROM ((gang_slots k
                     JOIN jobs j ON (((j.id = k.job_id) AND (j.dispatch_seq = k.dispatch_seq))))
                     JOIN experiments e ON ((e.id = j.experiment_id)))
                  WHERE (((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[])) AND (j.owner IS NOT NULL))) s ON (((s.name)::text = (n.name)::text)))
          GROUP BY n.name, u.group_name, u.shares, u.max_running, u.gpu_hours, u.gpu_seconds) p ON (((p.group_name)::text = (g.name)::text)))
  GROUP BY g.name, g.shares, g.max_running, g.gpu_hours;
CREATE VIEW tokens AS SELECT id AS token_id,
    user_name,
    scope,
    to_char((to_timestamp(created_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS created_at,
    to_char((to_timestamp(expires_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS expires_at,
    to_char((to_timestamp(revoked_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS revoked_at,
    max_jobs
   FROM access_tokens t;
CREATE VIEW users AS SELECT name AS user_name,
    max_running,
    ( SELECT count(j.id) AS count
           FROM (jobs j
             JOIN experiments e ON ((e.id = j.experiment_id)))
          WHERE (((e.user_name)::text = (u.name)::text) AND ((j.status)::text = ANY ((ARRAY['RUNNING'::character varying, 'DISPATCHED'::character varying])::text[])))) AS in_flight,
    gpu_hours,
    (gpu_seconds / (3600.0)::double precision) AS gpu_hours_used,
    group_name,
    COALESCE(shares, (1.0)::double precision) AS shares
   FROM fleet_users u;
CREATE VIEW workers AS SELECT id AS worker,
    service,
    host,
    pid,
    slot,
    queue,
    device,
    to_char((to_timestamp(started_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS started_at,
    to_char((to_timestamp(heartbeat_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS heartbeat_at,
    to_char((to_timestamp(ended_at) AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS ended_at,
    (is_draining)::integer AS is_draining,
    ( SELECT count(j.id) AS count
           FROM jobs j
          WHERE (((j.status)::text = 'RUNNING'::text) AND ((j.owner)::text = (w.id)::text))) AS running,
    name,
    labels
   FROM worker_slots w;
