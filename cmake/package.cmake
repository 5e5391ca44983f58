# What a package holds besides the program: manual pages of spec/, completion, changelog, copyright. Included for the preset
# `package`; script/package calls it.
find_program(LOWDOWN lowdown REQUIRED)

set(pages)
function(page chapter name section what)
  set(page ${CMAKE_BINARY_DIR}/man/${name}.${section}.gz)
  add_custom_command(OUTPUT ${page}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
    COMMAND ${CMAKE_COMMAND} -E env RUNBOOK_VERSION=${PROJECT_VERSION}
      sh ${CMAKE_SOURCE_DIR}/cmake/man.sh ${CMAKE_SOURCE_DIR}/spec/${chapter}.md ${name} ${section} ${what} > ${page}.new
    COMMAND gzip -9nc < ${page}.new > ${page}
    DEPENDS ${CMAKE_SOURCE_DIR}/spec/${chapter}.md ${CMAKE_SOURCE_DIR}/cmake/man.sh VERBATIM)
  set(pages ${pages} ${page} PARENT_SCOPE)
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endfunction()
page(cli runbook 1 "runs incident runbooks")
page(language runbook-language 7 "the language of runbooks")
page(effects runbook-effects 7 "what a runbook can look at and change")
page(scenarios runbook-scenarios 7 "worlds that runbooks are tested against")
page(escalation runbook-escalation 7 "who is told, and when")
page(journal runbook-journal 5 "what a run leaves on disk")

set(completions)
function(completion shell file folder)
  set(script ${CMAKE_BINARY_DIR}/completion/${shell}/${file})
  add_custom_command(OUTPUT ${script}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/completion/${shell}
    COMMAND runbook completion ${shell} > ${script}
    DEPENDS runbook VERBATIM)
  set(completions ${completions} ${script} PARENT_SCOPE)
  install(FILES ${script} DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder})
endfunction()
completion(bash runbook bash-completion/completions)
completion(zsh _runbook zsh/vendor-completions)
completion(fish runbook.fish fish/vendor_completions.d)

function(changelog source name)
  set(file ${CMAKE_BINARY_DIR}/${name})
  add_custom_command(OUTPUT ${file} COMMAND gzip -9nc < ${CMAKE_SOURCE_DIR}/${source} > ${file}
    DEPENDS ${CMAKE_SOURCE_DIR}/${source} VERBATIM)
  set(changelogs ${changelogs} ${file} PARENT_SCOPE)
  install(FILES ${file} DESTINATION ${CMAKE_INSTALL_DOCDIR})
endfunction()
changelog(CHANGELOG.md changelog.gz)
changelog(cmake/debian/changelog changelog.Debian.gz)
install(FILES cmake/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES cmake/debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME runbook)
add_custom_target(package_files ALL DEPENDS ${pages} ${completions} ${changelogs})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_CONTACT "The runbook authors <runbook@example.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "runs incident runbooks written as Lua scripts")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "It looks, says what it found, and asks before it changes anything.
The same file runs dry against the real world, and against a scripted world
as a test. A small second process keeps the clock, and pages a human when the
incident is not over in time.")
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, openssh-client")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "kubernetes-client, docker.io, docker-compose")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
  WORLD_READ WORLD_EXECUTE)
include(CPack)
