import type { Builder } from '../program.js';
import type { InstallFlags } from './install.js';

export function addInstall(build: Builder): void {
	const dryRun = ['--dry-run', 'say what would be done, and do nothing'] as const;
	const install = [
		'rollcall install --bundle alpha.tgz --now',
		'rollcall install --config ./rollcall.yaml --now',
		'rollcall install --dry-run',
	];
	build
		.add<InstallFlags>('install', 'put it on this host, under systemd', install, async (context) =>
			(await import('./install.js')).install(context),
		)
		.option('--bundle <file>', "a node's bundle, as rollcall fleet init makes it; - for standard input")
		.option('--force', 'with --bundle: put its configuration in the place of another one of this node')
		.option(...dryRun)
		.option('--now', 'start it too');
	build
		.add<{ dryRun?: boolean; purge?: boolean }>(
			'uninstall',
			'take it off this host',
			['rollcall uninstall --dry-run'],
			async (context) => (await import('./install.js')).uninstall(context),
		)
		.option(...dryRun)
		.option('--purge', 'configuration, state and user too');
}
