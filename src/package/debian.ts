import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { manualPages } from './manual.js';
import { list, type PackageContext } from './payload.js';

/** Where dpkg keeps its own copy; the maintainer scripts make a release folder of it, from which it runs. */
const packageFolder = 'usr/lib/rollcall-package';
const documents = 'usr/share/doc/rollcall';
const unitFolder = 'usr/lib/systemd/system';
/** The highest level takes seven times as long for a file that is a fifth smaller. */
const compression = ['-Zxz', '-z1'];
const scripts = ['postinst', 'prerm', 'postrm'];

export function buildDebian(context: PackageContext): string {
	const { repository, payload, output, epochSeconds, scratch } = context;
	const root = join(scratch, 'debian');
	const source = join(repository, 'src/package/debian');
	const version = context.version.replace('-', '~');
	const write = (path: string, content: string | Buffer): void => {
		mkdirSync(dirname(join(root, path)), { recursive: true });
		writeFileSync(join(root, path), content);
	};
	mkdirSync(join(root, dirname(packageFolder)), { recursive: true });
	// Links instead of copies: the same files, of which nothing is changed any more.
	execFileSync('cp', ['--archive', '--link', payload, join(root, packageFolder)]);
	for (const unit of readdirSync(join(payload, 'systemd')).filter((name) => /\.(service|socket)$/.test(name))) {
		write(join(unitFolder, unit), readFileSync(join(payload, 'systemd', unit)));
	}
	for (const kind of ['sysusers.d', 'tmpfiles.d']) {
		write(join('usr/lib', kind, 'rollcall.conf'), readFileSync(join(payload, 'systemd', kind, 'rollcall.conf')));
	}
	mkdirSync(join(root, 'usr/bin'), { recursive: true });
	for (const [file, page] of manualPages(version, epochSeconds)) write(`usr/share/man/${file}.gz`, compressed(page));
	write(join(documents, 'changelog.gz'), compressed(changelog(source, version, epochSeconds)));
	write(join(documents, 'copyright'), copyright(source, payload));
	const files = list(root).filter((path) => statSync(join(root, path)).isFile());
	const bytes = files.reduce((sum, path) => sum + statSync(join(root, path)).size, 0);
	const sums = files.map((path) => `${md5(join(root, path))}  ${path}\n`);
	write('DEBIAN/md5sums', sums.join(''));
	write(
		'DEBIAN/control',
		filled(source, 'control', { VERSION: version, INSTALLED_SIZE: String(Math.ceil(bytes / 1024)) }),
	);
	for (const script of scripts) write(join('DEBIAN', script), readFileSync(join(source, script)));
	for (const path of list(root)) setMode(root, path);
	chmodSync(root, 0o755);
	// Leads somewhere only once postinst has run.
	symlinkSync('../lib/rollcall/dist/src/main.js', join(root, 'usr/bin/rollcall'));
	const target = join(output, `rollcall_${version}_all.deb`);
	execFileSync('dpkg-deb', ['--build', '--root-owner-group', ...compression, root, target], {
		env: { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds) },
		stdio: ['ignore', 'ignore', 'inherit'],
	});
	return target;
}

function setMode(root: string, path: string): void {
	const stat = statSync(join(root, path));
	const isScript = path.startsWith('DEBIAN/') && scripts.some((name) => path.endsWith(name));
	if (stat.isDirectory() || isScript) chmodSync(join(root, path), 0o755);
	else if (!path.startsWith(packageFolder)) chmodSync(join(root, path), 0o644);
}

/** Without name and time in its header, as Debian wants it. */
const compressed = (text: string): Buffer => gzipSync(text, { level: 9 });

const md5 = (path: string): string => createHash('md5').update(readFileSync(path)).digest('hex');

/** A text of the source with its `${NAME}` filled in. */
function filled(source: string, name: string, values: Readonly<Record<string, string>>): string {
	return readFileSync(join(source, name), 'utf8').replace(/\$\{(\w+)\}/g, (_, key: string) => {
		const value = values[key];
		if (value === undefined) throw new Error(`${join(source, name)} names an unknown value: ${key}`);
		return value;
	});
}

function changelog(source: string, version: string, epochSeconds: number): string {
	const [, maintainer = ''] = /^Maintainer: (.*)$/m.exec(readFileSync(join(source, 'control'), 'utf8')) ?? [];
	const date = new Date(epochSeconds * 1000).toUTCString().replace('GMT', '+0000');
	return `rollcall (${version}) unstable; urgency=medium\n\n  * Release ${version}.\n\n -- ${maintainer}  ${date}\n`;
}

function copyright(source: string, payload: string): string {
	const licences = readFileSync(join(payload, 'licences.txt'), 'utf8');
	const [, PACKAGES = ''] = licences.split('\n\n');
	return `${filled(source, 'copyright', { PACKAGES })}\n${readFileSync(join(payload, 'LICENSE'), 'utf8')}`;
}
