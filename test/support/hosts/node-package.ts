import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Builds a package that stands for Debian's nodejs: the hosts have Node itself in /usr/local/bin. Answers its path. */
export async function nodePackage(folder: string, version: string): Promise<string> {
	const root = join(folder, `nodejs-${version}`);
	await mkdir(join(root, 'DEBIAN'), { recursive: true });
	const lines = [
		'Package: nodejs',
		`Version: ${version}`,
		'Architecture: all',
		'Maintainer: Test <test@rollcall.invalid>',
	];
	await writeFile(join(root, 'DEBIAN/control'), `${lines.join('\n')}\nDescription: stands for nodejs\n`);
	await promisify(execFile)('dpkg-deb', ['--build', '--root-owner-group', root, `${root}.deb`]);
	return `${root}.deb`;
}
