/**
 * Runs inside every Node worker before the app, by `node --require`. It is inert wherever it was only inherited: in
 * worker threads and in children that an app starts with the same arguments.
 */
import threads = require('node:worker_threads');
import takeSettings = require('./settings.cjs');

const settings = threads.isMainThread ? takeSettings(process.env) : null;
if (settings !== null) {
	const cluster = require('node:cluster') as unknown as import('node:cluster').Cluster;
	if (cluster.isWorker) {
		const Residence = require('./residence.cjs') as typeof import('./residence.cjs');
		new Residence(settings).begin(__filename);
	}
}
