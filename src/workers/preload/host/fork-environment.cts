import fs = require('node:fs');
import nodeOptions = require('../node-options.cjs');
import type { Cluster } from 'node:cluster';

interface Description {
	env?: Record<string, string>;
	node_args?: readonly string[];
	pm_cwd?: string;
	pm_err_log_path?: string;
}

/**
 * In the host: gives a worker its app's variables, folder and stderr when it is forked. PM2's container sets these once
 * Node runs already, too late for what Node itself reads (NODE_OPTIONS, NODE_EXTRA_CA_CERTS, …), for modules that are loaded
 * before the app and found from its folder, and for what Node says of an option that it does not know.
 */
function install(cluster: Cluster): void {
	const { fork } = cluster;
	cluster.fork = (variables: Record<string, string> = {}) => {
		const description = describe(variables['pm2_env']);
		const { env = {}, node_args: nodeArguments, pm_cwd: folder, pm_err_log_path: errorFile } = description;
		// Where it cannot be entered, PM2's container says so.
		if (folder !== undefined && canEnter(folder)) cluster.settings.cwd = folder;
		else delete cluster.settings.cwd;
		const errorLog = errorFile === undefined ? null : openLog(errorFile);
		// Of a worker that outlives this host a pipe would break.
		if (errorLog === null) delete cluster.settings.stdio;
		else cluster.settings.stdio = ['inherit', 'inherit', errorLog, 'ipc'];
		try {
			return fork.call(cluster, { ...nodeOptions.withOursFirst(env, nodeArguments), ...variables });
		} finally {
			if (errorLog !== null) fs.closeSync(errorLog);
		}
	};
}

/** null where it cannot be opened, of which PM2's container says more. For reading, too: a pipe in its place would be waited on. */
function openLog(file: string): number | null {
	try {
		return fs.openSync(file, 'a+');
	} catch {
		return null;
	}
}

function describe(packed: string | undefined): Description {
	return packed === undefined ? {} : (JSON.parse(packed) as Description);
}

function canEnter(folder: string): boolean {
	try {
		fs.accessSync(folder, fs.constants.X_OK);
		return fs.statSync(folder).isDirectory();
	} catch {
		return false;
	}
}

export = { install };
