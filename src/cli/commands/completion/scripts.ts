/**
 * The completions of each shell ask `rollcall completion words` with the words up to the cursor. It answers a candidate a
 * line, with a tab and its meaning behind it; `:files` and `:folders` leave it to the shell.
 */

/**
 * bash splits words at = and :, so the line is split anew here, and what stands before the last of these is cut off the
 * candidates again.
 */
const bash = `# bash completion of rollcall:  source <(rollcall completion bash)
_rollcall() {
	local line="\${COMP_LINE:0:COMP_POINT}" candidate
	local -a words
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=('')
	local current="\${words[\${#words[@]}-1]}"
	local cut="\${current%"\${current##*[=:]}"}"
	COMPREPLY=()
	while IFS=$'\\t' read -r candidate _; do
		case $candidate in
		:files) compopt -o default 2>/dev/null ;;
		:folders) compopt -o default -o dirnames 2>/dev/null ;;
		?*) COMPREPLY+=("\${candidate#"$cut"}") ;;
		esac
	done < <(command rollcall completion words -- "\${words[@]:1}" 2>/dev/null </dev/null)
	[[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	return 0
}
complete -F _rollcall rollcall
`;

const zsh = `#compdef rollcall
# zsh completion of rollcall:  source <(rollcall completion zsh), or as _rollcall in a folder of fpath
_rollcall() {
	local line
	local -a given plain keys
	given=("\${(@Q)words[2,CURRENT-1]}" "$PREFIX")
	for line in "\${(@f)$(command rollcall completion words -- "\${given[@]}" 2>/dev/null </dev/null)}"; do
		case $line in
		'') ;;
		:files) _files; return ;;
		:folders) _files -/; return ;;
		*=$'\\t'*) keys+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
		*) plain+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
		esac
	done
	(( $#keys )) && _describe -t fields field keys -S ''
	(( $#plain )) && _describe -t words word plain
	return 0
}
if [[ \${funcstack[1]} == _rollcall ]]; then
	_rollcall "$@"
elif (( $+functions[compdef] )); then
	compdef _rollcall rollcall
fi
`;

const fish = `# fish completion of rollcall:  rollcall completion fish | source
function __rollcall_complete
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	set -l lines (command rollcall completion words -- $words[2..-1] "$current" 2>/dev/null </dev/null)
	if contains -- :files $lines
		__fish_complete_path "$current"
	else if contains -- :folders $lines
		__fish_complete_directories "$current" ''
	else
		printf '%s\\n' $lines
	end
end
complete -c rollcall -f -a '(__rollcall_complete)'
`;

export const completionScripts: Readonly<Record<string, string>> = { bash, zsh, fish };
