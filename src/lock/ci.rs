//! The page of a run, from the variables that CI systems set.

/// The page of the run that this is part of, from the environment's variables; none outside of the systems that are known.
///
/// GitHub Actions (<https://docs.github.com/en/actions/reference/workflows-and-actions/variables>), GitLab
/// (<https://docs.gitlab.com/ci/variables/predefined_variables/>), Buildkite
/// (<https://buildkite.com/docs/pipelines/configure/environment-variables>), `CircleCI`
/// (<https://circleci.com/docs/reference/variables/>), `CodeBuild`
/// (<https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html>), Azure Pipelines
/// (<https://learn.microsoft.com/en-us/azure/devops/pipelines/build/variables>), Bitbucket
/// (<https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>), Jenkins
/// (<https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables>).
#[must_use]
pub fn run(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    github(&set)
        .or_else(|| set("CI_JOB_URL"))
        .or_else(|| buildkite(&set))
        .or_else(|| set("CIRCLE_BUILD_URL"))
        .or_else(|| set("CODEBUILD_BUILD_URL"))
        .or_else(|| azure(&set))
        .or_else(|| bitbucket(&set))
        // The least telling name comes last.
        .or_else(|| set("BUILD_URL"))
}

fn github(set: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let (server, repository) = (set("GITHUB_SERVER_URL")?, set("GITHUB_REPOSITORY")?);
    let run = format!("{server}/{repository}/actions/runs/{}", set("GITHUB_RUN_ID")?);
    Some(match set("GITHUB_RUN_ATTEMPT").filter(|attempt| attempt != "1") {
        Some(attempt) => format!("{run}/attempts/{attempt}"),
        None => run,
    })
}

fn buildkite(set: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let build = set("BUILDKITE_BUILD_URL")?;
    Some(set("BUILDKITE_JOB_ID").map_or_else(|| build.clone(), |job| format!("{build}#{job}")))
}

fn azure(set: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let (collection, project) = (set("SYSTEM_COLLECTIONURI")?, set("SYSTEM_TEAMPROJECT")?);
    Some(format!("{collection}{project}/_build/results?buildId={}", set("BUILD_BUILDID")?))
}

fn bitbucket(set: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let (origin, number) = (set("BITBUCKET_GIT_HTTP_ORIGIN")?, set("BITBUCKET_BUILD_NUMBER")?);
    Some(format!("{origin}/pipelines/results/{number}"))
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn each_system_names_its_run() {
        let github = ["GITHUB_SERVER_URL=https://github.com", "GITHUB_REPOSITORY=o/r", "GITHUB_RUN_ID=7"];
        let cases: &[(&[&str], Option<&str>)] = &[
            (&[], None),
            (&["CI=true", "BUILD_URL="], None),
            (&github, Some("https://github.com/o/r/actions/runs/7")),
            (&["GITHUB_REPOSITORY=o/r", "GITHUB_RUN_ID=7"], None),
            (&["CI_JOB_URL=https://gitlab.com/o/r/-/jobs/7"], Some("https://gitlab.com/o/r/-/jobs/7")),
            (
                &["BUILDKITE_BUILD_URL=https://buildkite.com/o/r/builds/7", "BUILDKITE_JOB_ID=a1"],
                Some("https://buildkite.com/o/r/builds/7#a1"),
            ),
            (&["CIRCLE_BUILD_URL=https://circleci.com/gh/o/r/7"], Some("https://circleci.com/gh/o/r/7")),
            (
                &["SYSTEM_COLLECTIONURI=https://dev.azure.com/o/", "SYSTEM_TEAMPROJECT=p", "BUILD_BUILDID=7"],
                Some("https://dev.azure.com/o/p/_build/results?buildId=7"),
            ),
            (
                &["BITBUCKET_GIT_HTTP_ORIGIN=https://bitbucket.org/o/r", "BITBUCKET_BUILD_NUMBER=7"],
                Some("https://bitbucket.org/o/r/pipelines/results/7"),
            ),
            (&["BUILD_URL=https://jenkins/job/r/7/"], Some("https://jenkins/job/r/7/")),
        ];
        for (set, wanted) in cases {
            let found = run(&|name| {
                let line = set.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
                line.map(str::to_owned)
            });
            assert_eq!(found.as_deref(), *wanted, "{set:?}");
        }
        let again: Vec<&str> = github.iter().copied().chain(["GITHUB_RUN_ATTEMPT=2"]).collect();
        let found =
            run(&|name| again.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned));
        assert_eq!(found.as_deref(), Some("https://github.com/o/r/actions/runs/7/attempts/2"));
    }
}
