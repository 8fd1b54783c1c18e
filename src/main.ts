#!/usr/bin/env node
/**
 * The program `rollcall`: argv → command, and the only place where the process is told to exit. Nothing is imported
 * before it is known to be needed: help costs what starting Node costs, and a command only what it uses itself.
 */
const words = process.argv.slice(2);
const plain = words.filter((word) => word !== '--no-color');
const only = plain.length === 1 ? plain[0] : undefined;
const asksForHelp = only !== undefined && ['--help', '-h'].includes(only);

// A reader that leaves early (`| head`) is no fault of the command.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code === 'EPIPE') process.exit(0);
	throw error;
});

if (plain.length === 0 || asksForHelp) {
	const { mainHelp } = await import('./cli/output/main-help.js');
	(asksForHelp ? process.stdout : process.stderr).write(mainHelp);
	process.exit(asksForHelp ? 0 : 2);
}
if (only !== undefined && ['--version', '-v', '-V'].includes(only)) {
	const { readFileSync } = await import('node:fs');
	const description = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
	process.stdout.write(`${(JSON.parse(description) as { version: string }).version}\n`);
	process.exit(0);
}
const { run } = await import('./cli/run.js');
process.exit(
	await run(words, {
		runDaemon: async (options) => (await import('./daemon/daemon.js')).runDaemon(options),
		runWorkerHost: async (options) => (await import('./workers/host/host.js')).runWorkerHost(options),
	}),
);
