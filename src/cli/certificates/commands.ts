import type { Builder } from '../program.js';
import type { AuthorityOptions } from './authority.js';
import type { RotateOptions } from './rotate.js';

/** Adds the commands of an authority at home. */
export function addAuthority(build: Builder): void {
	const authority = build.group('ca', "the fleet's own certificate authority");
	const module = () => import('./authority.js');
	authority
		.add<AuthorityOptions>('init', 'make the authority', ['rollcall ca init --dir fleet-ca'], async (context) =>
			(await module()).init(context),
		)
		.requiredOption('--dir <folder>', 'folder of the authority, of mode 0700; made if it is not there')
		.option('--days <number>', 'how long it is valid', '3650')
		.option('--force', 'replace an authority that is there; no certificate of the old one counts any more');
	const issue = ['rollcall ca issue alpha --dir fleet-ca', 'rollcall ca issue alpha --dir fleet-ca --out alpha/tls'];
	authority
		.add<AuthorityOptions & { out?: string }>(
			'issue <node>',
			'make a key and a certificate for one node',
			issue,
			async (context, node) => (await module()).issue(context, node ?? ''),
		)
		.requiredOption('--dir <folder>', 'folder of the authority')
		.option('--out <folder>', 'where ca.pem, cert.pem and key.pem go (default: NODE in the folder of the authority)')
		.option('--days <number>', 'how long it is valid, at most as long as the authority', '365')
		.option('--force', 'replace a key and a certificate that are there');
	const rotate = [
		'rollcall ca rotate --dir fleet-ca --url https://alpha:9925 --begin',
		'ssh alpha rollcall status --json | rollcall ca rotate --dir fleet-ca --status -',
	];
	authority
		.add<RotateOptions>(
			'rotate',
			'take the next step to a new authority that the nodes allow',
			rotate,
			async (context) => (await import('./rotate.js')).rotate(context),
		)
		.requiredOption('--dir <folder>', 'folder of the authority')
		.option(
			'--status <file>',
			'what rollcall status --json printed on a node, - for standard input; else a daemon is asked',
		)
		.option('--begin', 'begin a rotation, if none is under way')
		.option('--days <number>', 'how long what it makes is valid (default: an authority 3650, a certificate 365)');
}
