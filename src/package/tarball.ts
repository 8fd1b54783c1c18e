import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { PackageContext } from './payload.js';

/** A tarball that `npm install --global FILE` takes without asking a registry: everything that it needs is inside. */
export function buildTarball({ payload, version, output, epochSeconds }: PackageContext): string {
	const path = join(output, `rollcall-${version}.tgz`);
	const fixed = [
		'--sort=name',
		`--mtime=@${epochSeconds}`,
		'--owner=0',
		'--group=0',
		'--numeric-owner',
		'--format=ustar',
	];
	// gzip leaves its own time out of what it reads from a pipe.
	const words = [...fixed, '--transform=s,^\\.,package,', '--gzip', '--create', '--file', path, '--directory', payload];
	execFileSync('tar', [...words, '.'], { stdio: ['ignore', 'inherit', 'inherit'] });
	return path;
}
