import fs = require('node:fs');
import nodeOptions = require('../node-options.cjs');
import type { Cluster } from 'node:cluster';

interface Description {
	env?: Record<string, string>;
	node_args?: readonly string[];
	pm_cwd?: string;
}

/**
 * In the host: gives a worker its app's variables and folder when it is forked. PM2's container sets both once Node runs
 * already, too late for what Node itself reads (NODE_OPTIONS, NODE_EXTRA_CA_CERTS, …), and for modules that are loaded
 * before the app and found from its folder.
 */
function install(cluster: Cluster): void {
	const { fork } = cluster;
	cluster.fork = (variables: Record<string, string> = {}) => {
		const { env = {}, node_args: nodeArguments, pm_cwd: folder } = describe(variables['pm2_env']);
		// Where it cannot be entered, PM2's container says so.
		if (folder !== undefined && canEnter(folder)) cluster.settings.cwd = folder;
		else delete cluster.settings.cwd;
		return fork.call(cluster, { ...nodeOptions.withOursFirst(env, nodeArguments), ...variables });
	};
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
