BEGIN TRANSACTION;
CREATE TABLE runs (
	id VARCHAR(32) NOT NULL, 
	owner VARCHAR(200) NOT NULL, 
	created FLOAT NOT NULL, 
	queued FLOAT NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	model TEXT NOT NULL, 
	device VARCHAR(32) NOT NULL, 
	request TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	step VARCHAR(32) NOT NULL, 
	fraction FLOAT NOT NULL, 
	overall FLOAT NOT NULL, 
	detail TEXT NOT NULL, 
	step_started FLOAT NOT NULL, 
	updated FLOAT NOT NULL, 
	run_seconds_left FLOAT, 
	reason TEXT NOT NULL, 
	remedy TEXT NOT NULL, 
	error_id VARCHAR(16) NOT NULL, 
	seconds FLOAT NOT NULL, 
	step_seconds TEXT NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	note TEXT NOT NULL, 
	is_starred BOOLEAN NOT NULL, 
	is_imported BOOLEAN NOT NULL, 
	deleted_at FLOAT, 
	cancel_asked FLOAT, 
	pid INTEGER, 
	pid_started BIGINT, 
	resumes INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "runs" VALUES('20251125-160000-000001','local',1764086400.0,1764086400.0,'b64b1b2535127ac9e7f36bdf64c5b00fe2e7a55c5765c38b9201d1473cbba671','prune','cifar/resnet20','cpu','{"spec": {"model": "cifar/resnet20", "calibration": "images:/nowhere/train", "sparsity": 0.5, "weights": "random", "structures": null, "method": "osscar", "target": null, "samples": null, "seqlen": null, "batch_size": null, "device": "auto", "dtype": "auto", "seed": 0, "damping": 0.01, "intercept": "auto", "swaps": null, "certify": "auto", "round_to": 1, "refit_head": true, "image_size": null, "trust_remote_code": false, "goal": null, "budget": null, "caps": [], "refine": 0, "data": null}, "data": "images:/nowhere/test", "limit": 2000, "batch_size": null, "repeats": null, "kind": "prune", "widths": null, "estimate": null}','finished','',1.0,1.0,'',0.0,0.0,NULL,'','','',30.0,'{"load": 1.5, "prune": 12.0}','the first','a note
of two lines, 日本語',1,0,NULL,NULL,NULL,NULL,0);
INSERT INTO "runs" VALUES('20251125-160100-000002','local',1764086460.0,1764086460.0,'151e631a1f168a506a431c0507866aae3e5b94b1ff95ad9c12265833a132de5f','prune','facebook/opt-125m','cpu','{"spec": {"model": "facebook/opt-125m", "calibration": "demo:python-docs", "sparsity": 0.4, "weights": null, "structures": null, "method": "osscar", "target": null, "samples": null, "seqlen": null, "batch_size": null, "device": "auto", "dtype": "auto", "seed": 0, "damping": 0.01, "intercept": "auto", "swaps": null, "certify": "auto", "round_to": 1, "refit_head": true, "image_size": null, "trust_remote_code": false, "goal": null, "budget": null, "caps": [], "refine": 0, "data": null}, "data": "demo:python-docs", "limit": 64, "batch_size": null, "repeats": null, "kind": "prune", "widths": null, "estimate": null}','failed','',0.0,0.0,'',0.0,0.0,NULL,'memory ran out','Use a smaller batch','0a1b2c3d',0.0,'{}','','',0,0,NULL,NULL,NULL,NULL,0);
INSERT INTO "runs" VALUES('20251125-160200-000003','user-0123456789abcdef',1764086520.0,1764086520.0,'151e631a1f168a506a431c0507866aae3e5b94b1ff95ad9c12265833a132de5f','prune','facebook/opt-125m','cpu','{"spec": {"model": "facebook/opt-125m", "calibration": "demo:python-docs", "sparsity": 0.4, "weights": null, "structures": null, "method": "osscar", "target": null, "samples": null, "seqlen": null, "batch_size": null, "device": "auto", "dtype": "auto", "seed": 0, "damping": 0.01, "intercept": "auto", "swaps": null, "certify": "auto", "round_to": 1, "refit_head": true, "image_size": null, "trust_remote_code": false, "goal": null, "budget": null, "caps": [], "refine": 0, "data": null}, "data": "demo:python-docs", "limit": 64, "batch_size": null, "repeats": null, "kind": "prune", "widths": null, "estimate": null}','interrupted','prune',0.25,0.2,'layer 3',0.0,0.0,NULL,'','','',0.0,'{}','','',0,0,NULL,NULL,NULL,NULL,0);
INSERT INTO "runs" VALUES('20251125-160300-000004','user-0123456789abcdef',1764086580.0,1764086580.0,'b64b1b2535127ac9e7f36bdf64c5b00fe2e7a55c5765c38b9201d1473cbba671','prune','cifar/resnet20','cpu','{"spec": {"model": "cifar/resnet20", "calibration": "images:/nowhere/train", "sparsity": 0.5, "weights": "random", "structures": null, "method": "osscar", "target": null, "samples": null, "seqlen": null, "batch_size": null, "device": "auto", "dtype": "auto", "seed": 0, "damping": 0.01, "intercept": "auto", "swaps": null, "certify": "auto", "round_to": 1, "refit_head": true, "image_size": null, "trust_remote_code": false, "goal": null, "budget": null, "caps": [], "refine": 0, "data": null}, "data": "images:/nowhere/test", "limit": 2000, "batch_size": null, "repeats": null, "kind": "prune", "widths": null, "estimate": null}','queued','',0.0,0.0,'',0.0,0.0,NULL,'','','',0.0,'{}','','',0,0,NULL,NULL,NULL,NULL,0);
INSERT INTO "runs" VALUES('20251125-160400-000005','local',1764086640.0,1764086640.0,'b64b1b2535127ac9e7f36bdf64c5b00fe2e7a55c5765c38b9201d1473cbba671','prune','cifar/resnet20','cpu','{"spec": {"model": "cifar/resnet20", "calibration": "images:/nowhere/train", "sparsity": 0.5, "weights": "random", "structures": null, "method": "osscar", "target": null, "samples": null, "seqlen": null, "batch_size": null, "device": "auto", "dtype": "auto", "seed": 0, "damping": 0.01, "intercept": "auto", "swaps": null, "certify": "auto", "round_to": 1, "refit_head": true, "image_size": null, "trust_remote_code": false, "goal": null, "budget": null, "caps": [], "refine": 0, "data": null}, "data": "images:/nowhere/test", "limit": 2000, "batch_size": null, "repeats": null, "kind": "prune", "widths": null, "estimate": null}','cancelled','',0.0,0.0,'',0.0,0.0,NULL,'','','',0.0,'{}','','',0,0,4000000000.0,NULL,NULL,NULL,0);
INSERT INTO "runs" VALUES('20251125-160500-000006','user-0123456789abcdef',1764086700.0,1764086700.0,'5e9a94062e33ca8475243224246367849ed0051b58a23361ff5a426202466a33','prune','cifar/resnet20','cpu','{"spec": {"model": "cifar/resnet20", "calibration": "images:/nowhere/train", "sparsity": 0.5, "weights": "random", "structures": null, "method": "osscar", "target": null, "samples": null, "seqlen": null, "batch_size": null, "device": "auto", "dtype": "auto", "seed": 0, "damping": 0.01, "intercept": "auto", "swaps": null, "certify": "auto", "round_to": 1, "refit_head": true, "image_size": null, "trust_remote_code": false, "goal": null, "budget": null, "caps": [], "refine": 0, "data": null}, "data": "images:/nowhere/test", "limit": 2000, "batch_size": null, "repeats": null, "kind": "prune", "widths": null, "estimate": null}','finished','',1.0,1.0,'',0.0,1764086700.0,NULL,'','','',30.0,'{}','the first','a note
of two lines, 日本語',0,1,NULL,NULL,NULL,NULL,0);
CREATE TABLE runs_facts (
	name VARCHAR(40) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "runs_facts" VALUES('schema','1');
INSERT INTO "runs_facts" VALUES('home','/home/somebody/.local/share/osscar-studio');
CREATE INDEX runs_by_state ON runs (state, queued);
CREATE INDEX runs_by_key ON runs ("key", owner);
COMMIT;
